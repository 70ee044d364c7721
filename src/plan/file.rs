//! Plan files: `plans/NNNN-name.kdl`, made to be reviewed, refused if edited.

use crate::kdl::{self, Node, Problem, Scalar, Sources};
use crate::kinds::rights::Right;
use crate::kinds::{LockMode, Mode};
use crate::model::{Class, Digest, Error, Result};

use super::proof::{Leg, Proof, Rows};
use super::{Action, Expected, Finding, Hazard, Plan, Step};

/// The version of this format; a file of a newer one is refused.
pub const FORMAT: i64 = 1;

/// The file's name: `0003-add-invite-code.kdl`.
pub fn file_name(number: u32, name: &str) -> String {
    format!("{number:04}-{name}.kdl")
}

/// The plan as text.
pub fn write(plan: &Plan) -> String {
    let mut head = Node::new("plan").int(i64::from(plan.number)).arg(&*plan.name);
    head = head.int_prop("format", FORMAT).prop("tool", &*plan.tool).int_prop("postgres", i64::from(plan.server));
    if plan.sealed {
        head = head.prop("sealed", "by-hand");
    }
    head = head.child(Node::new("files").arg(plan.files.to_string()));
    if let Some(after) = plan.after {
        head = head.child(Node::new("after").arg(after.to_string()));
    }
    for step in &plan.steps {
        head = head.child(step_node("step", step));
    }
    if !plan.footprint.is_empty() {
        let mut footprint = Node::new("footprint");
        for expected in &plan.footprint {
            let mut node = Node::new("object").arg(&*expected.object);
            for (word, digest) in [("before", expected.before), ("after", expected.after)] {
                if let Some(digest) = digest {
                    node = node.prop(word, digest.to_string());
                }
            }
            footprint = footprint.child(node);
        }
        head = head.child(footprint);
    }
    let mut nodes = vec![head, hash_node(plan.hash())];
    nodes.extend(plan.proof.as_ref().map(proof_node));
    kdl::format_nodes(&nodes)
}

/// The text of a plan with another proof; all else stays byte for byte.
pub fn with_proof(text: &str, proof: &Proof) -> String {
    let nodes = kdl::read_large(0, text).unwrap_or_default();
    let old = nodes.iter().find(|node| &*node.name == "proof");
    let (start, end) = old.map_or((text.len(), text.len()), |node| (node.span.start as usize, node.span.end as usize));
    let before = text.get(..start).unwrap_or(text).trim_end();
    let after = text.get(end..).unwrap_or_default().trim();
    let gap = if after.is_empty() { "" } else { "\n" };
    format!("{before}\n\n{}{after}{gap}", kdl::format_nodes(&[proof_node(proof)]))
}

fn hash_node(hash: Digest) -> Node {
    Node::new("hash").arg(hash.to_string())
}

/// The text of a plan file that ends with that hash, without the proof behind it. A text inside the plan cannot pass for the end: it
/// would have to hold the plan's own hash.
pub(super) fn up_to_hash(text: &str, hash: Digest) -> Option<&str> {
    let line = format!("\n{}", kdl::format_nodes(&[hash_node(hash)]));
    let end = text.find(&line)? + line.len();
    let rest = text[end..].trim_start();
    (rest.is_empty() || rest.starts_with("proof ")).then_some(&text[..end])
}

/// Behind the hash, since it came after the plan: a proof is about one.
fn proof_node(proof: &Proof) -> Node {
    let mut node = Node::new("proof").arg(proof.verdict().word()).prop("of", proof.plan.to_string());
    node = node.prop("at", &*proof.at).prop("server", &*proof.server);
    if let Some(witness) = &proof.witness {
        node = node.prop("witness", &**witness);
    }
    if let Some(rows) = &proof.rows {
        let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let said = Node::new("rows").int(number(rows.count)).int_prop("tables", number(rows.tables));
        node = node.child(rows.without.iter().fold(said, |rows, line| rows.child(Node::new("without").arg(&**line))));
    }
    proof.legs().into_iter().fold(node, |node, (name, leg)| {
        let lines = leg.lines().into_iter();
        node.child(lines.fold(Node::new(name).arg(leg.word()), |leg, line| leg.child(Node::new("line").arg(line))))
    })
}

fn step_node(word: &str, step: &Step) -> Node {
    let mut node = Node::new(word).arg(step.action.word());
    if !step.object.is_empty() {
        node = node.arg(&*step.object);
    }
    node = match step.mode {
        Mode::Normal => node.int_prop("transaction", i64::from(step.transaction)),
        Mode::CommitAfter => node.int_prop("transaction", i64::from(step.transaction)).prop("then", "commit"),
        Mode::Alone => node.int_prop("transaction", i64::from(step.transaction)).prop("run", "alone"),
    };
    if let Some((mode, on)) = &step.lock {
        node = node.child(Node::new("lock").arg(mode.words()).arg(&**on));
    }
    for (mode, on) in &step.locks {
        node = node.child(Node::new("lock-too").arg(mode.words()).arg(&**on));
    }
    for (right, on) in &step.rights {
        let needs = Node::new("needs").arg(right.word());
        node = node.child(if on.is_empty() { needs } else { needs.arg(&**on) });
    }
    if !step.secrets.is_empty() {
        let names = step.secrets.iter();
        node = node.child(names.fold(Node::new("secrets"), |node, variable| node.arg(&**variable)));
    }
    for finding in &step.hazards {
        node = node.child(Node::new("hazard").arg(finding.hazard.word()).arg(&*finding.reason));
    }
    let mut about = step.about.iter().map(|text| Some(text).filter(|text| !text.is_empty()));
    if let Some(text) = about.next().flatten() {
        node = node.child(Node::new("about").arg(&**text));
    }
    for id in &step.with {
        let with = Node::new("with").arg(&**id);
        node = node.child(match about.next().flatten() {
            Some(text) => with.arg(&**text),
            None => with,
        });
    }
    if !step.path.is_empty() {
        node = node.child(step.path.iter().fold(Node::new("path"), |node, schema| node.arg(&**schema)));
    }
    if let Some(column) = &step.fill {
        node = node.child(Node::new("fill").arg(&**column));
    }
    node = node.child(Node::new("sql").arg(&*step.sql));
    for inverse in &step.inverse {
        node = node.child(step_node("inverse", inverse));
    }
    node
}

/// Reads a plan's text and checks it against its own hash.
///
/// # Errors
/// `Stale` if the text is not what was hashed (edited, cut short), `Config` if it is not a plan at all or of a newer format.
pub fn read(name: &str, text: &str) -> Result<Plan> {
    read_with_hash(name, text).map(|(plan, _)| plan)
}

/// The same with the plan's hash.
///
/// # Errors
/// As `read`.
pub(super) fn read_with_hash(name: &str, text: &str) -> Result<(Plan, Digest)> {
    let (plan, hash) = parse(name, text)?;
    let own = plan.hash();
    if hash == Some(own) {
        return Ok((plan, own));
    }
    Err(Error::stale(format!("{name} was changed after it was made"))
        .detail("its hash is not that of its steps")
        .remedy(format!("undo the edit, or accept it with `setpoint seal {}`", plan.number)))
}

/// Reads a plan's text and the hash that it carries, whether they agree or not.
///
/// # Errors
/// `Config` if it is not a plan or of a newer format, `Stale` if it ends too early.
pub fn parse(name: &str, text: &str) -> Result<(Plan, Option<Digest>)> {
    let sources = Sources { files: vec![(name.into(), text.to_string())] };
    let cut = |error: Error| error.remedy("the file may have been cut short: restore it from version control");
    let nodes = kdl::read_large(0, text).map_err(|problems| {
        let mut error = cut(sources.error(&problems));
        error.class = Class::Stale;
        error
    })?;
    let mut reader = Reader { problems: Vec::new() };
    let plan = nodes.iter().find(|n| &*n.name == "plan");
    let hash = nodes
        .iter()
        .find(|n| &*n.name == "hash")
        .and_then(|n| n.args.first()?.as_text().and_then(|t| Digest::parse(t)));
    let Some(node) = plan else {
        return Err(cut(Error::new(Class::Stale, format!("{name} contains no plan"))));
    };
    if let Some(format) = node.get_prop("format").and_then(|a| int(&a.value)).filter(|f| *f > FORMAT) {
        return Err(Error::config(format!("{name} has format {format}; this setpoint knows formats up to {FORMAT}"))
            .remedy("use the newer setpoint that wrote it"));
    }
    let mut plan = reader.plan(node);
    // One that cannot be read proves nothing, and breaks nothing.
    plan.proof = nodes.iter().find(|n| &*n.name == "proof").and_then(proof);
    if !reader.problems.is_empty() {
        let mut error = cut(sources.error(&reader.problems));
        error.class = Class::Stale;
        return Err(error);
    }
    Ok((plan, hash))
}

fn proof(node: &Node) -> Option<Proof> {
    let prop = |name: &str| node.get_prop(name)?.as_text().map(ToString::to_string);
    let leg = |name: &str| {
        let node = node.get_child(name)?;
        let lines = node.children.iter().filter_map(|line| line.args.first()?.as_text().map(ToString::to_string));
        Leg::of(node.args.first()?.as_text()?, lines.collect())
    };
    Some(Proof {
        plan: Digest::parse(&prop("of")?)?,
        at: prop("at")?,
        server: prop("server")?,
        witness: prop("witness"),
        rows: node.get_child("rows").map(rows),
        up: leg("up")?,
        down: leg("down")?,
        again: leg("again")?,
    })
}

fn rows(node: &Node) -> Rows {
    let number = |scalar: Option<&Scalar>| scalar.and_then(int).and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
    let lines = node.children.iter().filter(|line| &*line.name == "without");
    Rows {
        count: number(node.args.first().map(|arg| &arg.value)),
        tables: number(node.get_prop("tables").map(|prop| &prop.value)),
        without: lines.filter_map(|line| line.args.first()?.as_text().map(ToString::to_string)).collect(),
    }
}

struct Reader {
    problems: Vec<Problem>,
}

impl Reader {
    fn plan(&mut self, node: &Node) -> Plan {
        let number = node.args.first().and_then(|a| int(&a.value)).and_then(|n| u32::try_from(n).ok());
        if number.is_none() {
            self.problems.push(Problem::new(node.name_span, "a plan begins with its number"));
        }
        Plan {
            number: number.unwrap_or(0),
            name: self.text(node, 1),
            files: self.digest(node.get_child("files")).unwrap_or_else(|| Digest::of_bytes(b"")),
            after: self.digest(node.get_child("after")),
            server: node
                .get_prop("postgres")
                .and_then(|a| int(&a.value))
                .and_then(|n| u32::try_from(n).ok())
                .unwrap_or(0),
            tool: node.get_prop("tool").and_then(|a| a.as_text()).map_or_else(String::new, ToString::to_string),
            sealed: node.get_prop("sealed").is_some(),
            footprint: node
                .get_child("footprint")
                .map_or_else(Vec::new, |f| f.children.iter().map(|o| self.expected(o)).collect()),
            steps: node.children.iter().filter(|c| &*c.name == "step").map(|c| self.step(c)).collect(),
            proof: None,
        }
    }

    fn digest(&mut self, node: Option<&Node>) -> Option<Digest> {
        let node = node?;
        let digest = node.args.first().and_then(|a| a.as_text()).and_then(|t| Digest::parse(t));
        if digest.is_none() {
            self.problems.push(Problem::new(node.span, "a hash of 32 hexadecimal digits is expected here"));
        }
        digest
    }

    fn text(&mut self, node: &Node, at: usize) -> String {
        match node.args.get(at).and_then(|a| a.as_text()) {
            Some(text) => text.to_string(),
            None => {
                self.problems.push(Problem::new(node.span, format!("`{}` must be followed by a string", node.name)));
                String::new()
            }
        }
    }

    fn expected(&mut self, node: &Node) -> Expected {
        let digest = |word: &str| node.get_prop(word).and_then(|a| a.as_text()).and_then(|t| Digest::parse(t));
        Expected { object: self.text(node, 0), before: digest("before"), after: digest("after") }
    }

    fn step(&mut self, node: &Node) -> Step {
        let word = self.text(node, 0);
        let action = Action::parse(&word).unwrap_or_else(|| {
            self.problems.push(Problem::new(node.span, format!("`{word}` is not an action")));
            Action::Manual
        });
        let flag = |name: &str| node.get_prop(name).is_some();
        Step {
            object: if node.args.len() > 1 { self.text(node, 1) } else { String::new() },
            action,
            with: node.children.iter().filter(|c| &*c.name == "with").map(|c| self.text(c, 0)).collect(),
            about: about(node),
            sql: match node.get_child("sql") {
                Some(sql) => self.text(sql, 0),
                None => {
                    self.problems.push(Problem::new(node.span, "this step has no `sql`"));
                    String::new()
                }
            },
            mode: if flag("run") {
                Mode::Alone
            } else if flag("then") {
                Mode::CommitAfter
            } else {
                Mode::Normal
            },
            transaction: node
                .get_prop("transaction")
                .and_then(|a| int(&a.value))
                .and_then(|n| u32::try_from(n).ok())
                .unwrap_or(0),
            path: texts(node.get_child("path")),
            rights: node
                .children
                .iter()
                .filter(|child| &*child.name == "needs")
                .filter_map(|needs| self.right(needs))
                .collect(),
            secrets: texts(node.get_child("secrets")),
            fill: node.get_child("fill").map(|fill| self.text(fill, 0)),
            lock: node.get_child("lock").and_then(|lock| self.lock(lock)),
            locks: node
                .children
                .iter()
                .filter(|child| &*child.name == "lock-too")
                .filter_map(|lock| self.lock(lock))
                .collect(),
            hazards: node
                .children
                .iter()
                .filter(|c| &*c.name == "hazard")
                .filter_map(|c| {
                    let word = self.text(c, 0);
                    let hazard = Hazard::parse(&word);
                    if hazard.is_none() {
                        self.problems.push(Problem::new(c.span, format!("`{word}` is not a hazard")));
                    }
                    Some(Finding { hazard: hazard?, reason: self.text(c, 1) })
                })
                .collect(),
            inverse: node.children.iter().filter(|c| &*c.name == "inverse").map(|c| self.step(c)).collect(),
        }
    }

    fn right(&mut self, node: &Node) -> Option<(Right, String)> {
        let word = self.text(node, 0);
        let right = Right::parse(&word);
        if right.is_none() {
            self.problems.push(Problem::new(node.span, format!("`{word}` is not a privilege that a step needs")));
        }
        Some((right?, if node.args.len() > 1 { self.text(node, 1) } else { String::new() }))
    }

    fn lock(&mut self, node: &Node) -> Option<(LockMode, String)> {
        let words = self.text(node, 0);
        let mode = LockMode::ALL.into_iter().find(|mode| mode.words() == words)?;
        Some((mode, self.text(node, 1)))
    }
}

/// The step's description of its object and of what comes or goes with it.
fn about(step: &Node) -> Vec<String> {
    let text = |node: &Node, at: usize| node.args.get(at).and_then(|a| a.as_text()).map_or("", |t| t).to_string();
    let mut out = vec![step.get_child("about").map_or_else(String::new, |node| text(node, 0))];
    out.extend(step.children.iter().filter(|c| &*c.name == "with").map(|with| text(with, 1)));
    let said = out.iter().rposition(|text| !text.is_empty()).map_or(0, |at| at + 1);
    out.truncate(said);
    out
}

/// The texts that a node holds.
fn texts(node: Option<&Node>) -> Vec<String> {
    let args = node.into_iter().flat_map(|node| &node.args);
    args.filter_map(|arg| arg.as_text().map(ToString::to_string)).collect()
}

fn int(value: &Scalar) -> Option<i64> {
    match value {
        Scalar::Int(i) => Some(*i),
        _ => None,
    }
}
