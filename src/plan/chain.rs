//! The chain of plans: `plans/chain.kdl` has one line per plan, so that two plans with the same number conflict in Git.

use std::path::{Path, PathBuf};

use crate::catalog::interrupt;
use crate::kdl::{self, Node, Scalar, Sources};
use crate::load::whole;
use crate::model::{Class, Digest, Error, Result};

use super::proof::Proof;
use super::{Plan, file, merge};

/// One line of the chain.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Link {
    pub number: u32,
    pub name: String,
    /// The plan's hash.
    pub hash: Digest,
    /// The files hash that it leads to.
    pub files: Digest,
}

/// All saved plans of a project, in order.
#[derive(Debug, Clone, Default)]
pub struct Chain {
    /// The folder `plans/`.
    pub dir: PathBuf,
    pub links: Vec<Link>,
}

impl Chain {
    /// Reads `chain.kdl`; no file means no plans.
    ///
    /// # Errors
    /// `Config` if it cannot be read, is not a chain, or its numbers do not follow each other.
    pub fn read(dir: &Path) -> Result<Self> {
        let path = dir.join("chain.kdl");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self { dir: dir.into(), links: Vec::new() });
            }
            Err(error) => {
                return Err(Error::config(format!("cannot read {}", path.display())).detail(error.to_string()));
            }
        };
        let markers = merge::versions(&text).len() > 1;
        let links = if markers { merge::links(&path, &text)? } else { lines(&path, &text)? };
        if let Some((number, names)) = merge::twice(dir, &links) {
            return Err(merge::error(number, &names, markers));
        }
        if markers {
            return Err(Error::config("plans/chain.kdl has Git's conflict markers")
                .remedy("finish the merge: keep the lines of both sides, without the markers"));
        }
        let wrong = links.iter().zip(1..).find(|(link, wanted)| link.number != *wanted);
        if let Some((link, wanted)) = wrong {
            return Err(Error::config(format!("plans/chain.kdl: plan {} follows plan {}", link.number, wanted - 1))
                .remedy("restore plans/ from version control"));
        }
        Ok(Self { dir: dir.into(), links })
    }

    /// The last plan's line.
    pub fn head(&self) -> Option<&Link> {
        self.links.last()
    }

    /// The line of that number.
    pub fn link(&self, number: u32) -> Option<&Link> {
        self.links.iter().find(|l| l.number == number)
    }

    /// The path of a plan's file.
    pub fn path(&self, link: &Link) -> PathBuf {
        self.dir.join(file::file_name(link.number, &link.name))
    }

    /// Reads a plan and checks it against its own hash, its line and the plan before it.
    ///
    /// # Errors
    /// `Stale` if the file was edited, is missing or belongs elsewhere.
    pub fn plan(&self, link: &Link) -> Result<Plan> {
        self.plan_and_text(link).map(|(plan, _)| plan)
    }

    /// The same with the text of the plan's file.
    ///
    /// # Errors
    /// As `plan`.
    pub fn plan_and_text(&self, link: &Link) -> Result<(Plan, String)> {
        let path = self.path(link);
        let shown = format!("plans/{}", file::file_name(link.number, &link.name));
        let text = std::fs::read_to_string(&path).map_err(|error| {
            Error::new(Class::Stale, format!("cannot read {shown}"))
                .detail(error.to_string())
                .remedy("restore it from version control")
        })?;
        let (plan, hash) = file::read_with_hash(&shown, &text)?;
        let before = self.link(link.number.wrapping_sub(1)).map(|l| l.hash);
        if hash != link.hash || plan.number != link.number {
            return Err(Error::stale(format!("{shown} is not the plan that plans/chain.kdl names"))
                .remedy("restore both from version control, or seal the plan"));
        }
        if plan.after != before {
            return Err(Error::stale(format!("{shown} was made to follow another plan than the one before it"))
                .detail(match self.link(link.number.wrapping_sub(1)) {
                    Some(link) => format!("before it comes plan {} {} now", link.number, link.name),
                    None => "no plan comes before it now".to_owned(),
                })
                .remedy(
                    "restore plans/ as the merge of two branches left it, with both plans under their own numbers, and run `setpoint rebase NAME`",
                ));
        }
        Ok((plan, text))
    }

    /// True if `text` is, byte for byte up to the proof, the text of that plan's file. Neither of the two is parsed:
    /// if the project's files are trusted, the same text need not be read twice.
    pub fn has_text(&self, number: u32, name: &str, hash: Digest, text: &str) -> bool {
        let Some(link) = self.link(number).filter(|link| link.name == name && link.hash == hash) else { return false };
        let file = std::fs::read_to_string(self.path(link)).ok();
        let pair = file.as_deref().map(|file| (file::up_to_hash(file, hash), file::up_to_hash(text, hash)));
        matches!(pair, Some((Some(file), Some(text))) if file == text)
    }

    /// Adds a plan: writes its file and its line.
    ///
    /// # Errors
    /// `Failed` if the files cannot be written.
    pub fn append(&mut self, plan: &Plan) -> Result<PathBuf> {
        self.append_as(plan, &file::write(plan))
    }

    /// The same for a plan whose text is already known.
    ///
    /// # Errors
    /// As `append`.
    pub fn append_as(&mut self, plan: &Plan, text: &str) -> Result<PathBuf> {
        let link = Link { number: plan.number, name: plan.name.clone(), hash: plan.hash(), files: plan.files };
        let path = self.path(&link);
        interrupt::undivided(|| {
            whole::write(&path, text)?;
            self.links.push(link);
            self.save()
        })?;
        Ok(path)
    }

    /// Notes that the last plan leads to these files, which mean the same as those that it was made for.
    ///
    /// # Errors
    /// `Failed` if the chain cannot be written.
    pub fn lead_to(&mut self, files: Digest) -> Result<()> {
        let Some(head) = self.links.last_mut() else { return Ok(()) };
        head.files = files;
        interrupt::undivided(|| self.save())
    }

    /// Removes the last plan: its line and its file.
    ///
    /// # Errors
    /// `Failed` if the files cannot be written.
    pub fn take_back(&mut self) -> Result<()> {
        let Some(link) = self.links.pop() else { return Ok(()) };
        // The line is removed first: a file that no line names is not a plan of the chain.
        let path = self.path(&link);
        interrupt::undivided(|| {
            self.save()?;
            std::fs::remove_file(&path)
                .map_err(|error| Error::failed(format!("cannot remove {}", path.display())).detail(error.to_string()))
        })
    }

    /// Rewrites the chain from these plans. Of those from `from` on, files that differ are written; which
    /// these are is the result.
    ///
    /// # Errors
    /// `Failed` if the files cannot be written.
    pub fn rewrite(dir: &Path, plans: &[Plan], from: u32) -> Result<Vec<PathBuf>> {
        let link = |p: &Plan| Link { number: p.number, name: p.name.clone(), hash: p.hash(), files: p.files };
        let chain = Self { dir: dir.into(), links: plans.iter().map(link).collect() };
        let mut written = Vec::new();
        interrupt::undivided(|| {
            for (plan, link) in plans.iter().zip(&chain.links).filter(|(plan, _)| plan.number >= from) {
                let path = chain.path(link);
                let there = std::fs::read_to_string(&path).ok().and_then(|text| file::read("", &text).ok());
                if there.is_none_or(|there| there.hash() != link.hash) {
                    whole::write(&path, &file::write(plan))?;
                    written.push(path);
                }
            }
            chain.save()
        })?;
        Ok(written)
    }

    /// Replaces a plan of the same number.
    ///
    /// # Errors
    /// `Failed` if the files cannot be written.
    pub fn replace(&mut self, plan: &Plan) -> Result<()> {
        let Some(at) = self.links.iter().position(|l| l.number == plan.number) else {
            return Err(Error::failed(format!("there is no plan {}", plan.number)));
        };
        // The line may lead to files that mean the same as the plan's own.
        let files = self.links[at].files;
        self.links[at] = Link { number: plan.number, name: plan.name.clone(), hash: plan.hash(), files };
        let path = self.path(&self.links[at]);
        interrupt::undivided(|| {
            whole::write(&path, &file::write(plan))?;
            self.save()
        })
    }

    /// Stores the proof of a plan in its file; the plan itself is not touched.
    ///
    /// # Errors
    /// `Failed` if the file cannot be read or written.
    pub fn prove(&self, link: &Link, proof: &Proof) -> Result<()> {
        let path = self.path(link);
        let text = std::fs::read_to_string(&path)
            .map_err(|error| Error::failed(format!("cannot read {}", path.display())).detail(error.to_string()))?;
        whole::write(&path, &file::with_proof(&text, proof))
    }

    fn save(&self) -> Result<()> {
        let lines: String = self
            .links
            .iter()
            .map(|l| {
                let node = Node::new("plan")
                    .int(i64::from(l.number))
                    .arg(&*l.name)
                    .prop("hash", l.hash.to_string())
                    .prop("files", l.files.to_string());
                kdl::format_nodes(&[node])
            })
            .collect();
        whole::write(&self.dir.join("chain.kdl"), &lines)
    }
}

/// The lines of a chain's text.
pub(super) fn lines(path: &Path, text: &str) -> Result<Vec<Link>> {
    let sources = Sources { files: vec![(path.to_path_buf(), text.to_owned())] };
    let nodes = kdl::read(0, text).map_err(|problems| sources.error(&problems))?;
    let line = |node: &Node| {
        link(node).ok_or_else(|| {
            Error::config(format!("{} is not a line of a chain of plans", sources.place(node.span)))
                .remedy("a line is `plan NUMBER NAME hash=… files=…`; restore the file from version control")
        })
    };
    nodes.iter().map(line).collect()
}

fn link(node: &Node) -> Option<Link> {
    let (Scalar::Int(number), name) = (&node.args.first()?.value, node.args.get(1)?.as_text()?) else { return None };
    let digest = |word: &str| node.get_prop(word).and_then(|a| a.as_text()).and_then(|t| Digest::parse(t));
    Some(Link {
        number: u32::try_from(*number).ok()?,
        name: name.to_string(),
        hash: digest("hash")?,
        files: digest("files")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Made;
    use crate::plan::proof::Leg;

    #[test]
    fn a_text_is_the_files_only_byte_for_byte() {
        let dir = std::env::temp_dir().join(format!("setpoint-chain-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        let mut chain = Chain { dir: dir.clone(), links: Vec::new() };
        let plan = Plan::new(&chain, "one", Digest::of_bytes(b"files"), 15, Made::default());
        let (text, hash) = (file::write(&plan), plan.hash());
        std::fs::create_dir_all(&dir).expect("a folder");
        chain.append(&plan).expect("it is written");
        let known = |text: &str| chain.has_text(1, "one", hash, text);
        assert!(known(&text));
        for at in 0..text.trim_end().len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'x' { b'y' } else { b'x' };
            assert!(!known(&String::from_utf8(bytes).expect("ASCII")), "byte {at}");
            assert!(!known(&text[..at]), "cut at {at}");
        }
        assert!(!known(&format!("{text}\nplan 1 other\n")));
        assert!(!chain.has_text(2, "one", hash, &text) && !chain.has_text(1, "two", hash, &text));
        assert!(!chain.has_text(1, "one", Digest::of_bytes(b"other"), &text));
        // A proof came later: to the text, to the file, or to both, and another one.
        let proof = |leg| Proof {
            plan: hash,
            at: "2026-01-31T12:00:00Z".into(),
            server: "15.18".into(),
            witness: None,
            rows: None,
            up: leg,
            down: Leg::Proved,
            again: Leg::Proved,
        };
        assert!(known(&file::with_proof(&text, &proof(Leg::Proved))));
        chain.prove(&chain.links[0], &proof(Leg::Unproved("hash".into()))).expect("it is written");
        assert!(known(&text) && known(&file::with_proof(&text, &proof(Leg::Proved))));
        let _ = std::fs::remove_dir_all(&dir);
    }
}
