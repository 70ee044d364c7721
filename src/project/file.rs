//! The grammar of `setpoint.kdl`.

use std::path::Path;

use rustc_hash::FxHashMap;

use crate::catalog::Connect;
use crate::kdl::{self, Arg, Node, Problem, Scalar, Sources};
use crate::kinds::meant::nearest;
use crate::model::{Ident, Result, Span};

use super::manage::{Manage, Pattern};
use super::{Environment, Source};

/// What a project file says.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) environments: Vec<Environment>,
    pub(super) default_env: Option<String>,
    pub(super) manage: Manage,
}

/// Reads a project file; all of its problems are one error.
pub(super) fn parse(path: &Path, text: String) -> Result<Contents> {
    let nodes = kdl::read(0, &text);
    let mut reading = Reading::default();
    match nodes {
        Ok(nodes) => reading.file(&nodes),
        Err(problems) => reading.problems = problems,
    }
    if reading.problems.is_empty() {
        return Ok(reading.contents);
    }
    let here = std::env::current_dir().unwrap_or_default();
    let shown = path.strip_prefix(&here).unwrap_or(path).to_path_buf();
    Err(Sources { files: vec![(shown, text)] }.error(&reading.problems))
}

/// The text with that owner: in place of the one it names, or on a line of its own at the end.
pub(super) fn with_owner(text: &str, owner: &Ident) -> String {
    let mut line = String::new();
    kdl::write_node(&mut line, &Node::new("owner").arg(owner.as_str()), 0);
    let line = line.trim_end();
    let nodes = kdl::read(0, text).unwrap_or_default();
    let Some(old) = nodes.iter().find(|node| &*node.name == "owner") else {
        let gap = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        return format!("{text}{gap}{line}\n");
    };
    // The span may include the node's terminator; the last argument ends it for certain.
    let end = old.args.last().map_or(old.name_span.end, |arg| arg.span.end) as usize;
    let (before, after) = (text.get(..old.name_span.start as usize), text.get(end..));
    format!("{}{line}{}", before.unwrap_or_default(), after.unwrap_or_default())
}

#[derive(Default)]
struct Reading {
    contents: Contents,
    problems: Vec<Problem>,
}

impl Reading {
    fn file(&mut self, nodes: &[Node]) {
        let mut default_at = Span::default();
        for node in nodes {
            match &*node.name {
                "env" => self.environment(node),
                "default-env" => {
                    self.only(nodes, node);
                    default_at = node.span;
                    self.contents.default_env = self.name(node);
                }
                "owner" => {
                    self.only(nodes, node);
                    self.contents.manage.owner = self.name(node).map(Ident::from);
                }
                "manage" => {
                    self.only(nodes, node);
                    self.manage(node);
                }
                _ => self.unknown(node, &["env", "default-env", "owner", "manage"]),
            }
        }
        if let Some(name) = &self.contents.default_env {
            let names: Vec<&str> = self.contents.environments.iter().map(|env| env.name.as_str()).collect();
            if !names.contains(&name.as_str()) {
                let help = nearest(name, names.iter().copied()).map_or_else(
                    || format!("add `env {name} url-from=\"DATABASE_URL\"`"),
                    |near| format!("did you mean `{near}`?"),
                );
                self.problems.push(Problem::new(default_at, format!("there is no environment `{name}`")).help(help));
            }
        }
    }

    fn environment(&mut self, node: &Node) {
        let Some(name) = self.name(node) else { return };
        if self.contents.environments.iter().any(|env| env.name == name) {
            self.problems.push(
                Problem::new(node.span, format!("the environment `{name}` is defined twice"))
                    .help("remove one of the two"),
            );
        }
        let mut sources: Vec<Source> = Vec::new();
        let mut roles = FxHashMap::default();
        for prop in &node.props {
            match &*prop.name {
                word @ ("url" | "url-from") => {
                    let value = self.text(&prop.value);
                    sources.extend(value.and_then(|text| self.source(word, text, prop.value.span)));
                }
                other => {
                    let message = format!("an environment has no property `{other}`");
                    self.problems.push(
                        Problem::new(prop.name_span, message)
                            .help("its properties are url and url-from; `role` belongs in its block"),
                    );
                }
            }
        }
        for child in &node.children {
            match &*child.name {
                word @ ("url" | "url-from") => {
                    let value = self.name(child);
                    sources.extend(value.and_then(|text| self.source(word, text, child.span)));
                }
                "role" => {
                    for prop in &child.props {
                        roles.extend(
                            self.text(&prop.value).map(|there| (Ident::new(prop.name.clone()), Ident::from(there))),
                        );
                    }
                }
                _ => self.unknown(child, &["url", "url-from", "role"]),
            }
        }
        match sources.pop() {
            Some(source) if sources.is_empty() => self.contents.environments.push(Environment { name, source, roles }),
            Some(_) => self.problems.push(
                Problem::new(node.name_span, format!("the environment `{name}` has more than one address"))
                    .help("keep one url or url-from"),
            ),
            None if self.problems.is_empty() => self.problems.push(
                Problem::new(node.name_span, format!("the environment `{name}` has no address")).help(format!(
                    "write `env {name} url-from=\"DATABASE_URL\"`, or `url=\"postgresql://…\"` without a password"
                )),
            ),
            None => {}
        }
    }

    fn source(&mut self, word: &str, text: String, span: Span) -> Option<Source> {
        if word == "url-from" {
            return Some(Source::Variable(text));
        }
        if Connect::holds_password(&text) {
            let help = "put the address into an environment variable or .env, and name it: url-from=\"DATABASE_URL\"";
            self.problems.push(
                Problem::new(span, "the project file holds no secrets, but this address has a password").help(help),
            );
            return None;
        }
        Some(Source::Url(text))
    }

    fn manage(&mut self, node: &Node) {
        for child in &node.children {
            match &*child.name {
                "schema" => {
                    let names = self.names(child);
                    self.contents.manage.schemas.get_or_insert_default().extend(names.into_iter().map(Ident::from));
                }
                "exclude" => {
                    let patterns = self.names(child);
                    self.contents.manage.exclude.extend(patterns.iter().map(|text| Pattern::new(text)));
                }
                "owners" => self.contents.manage.owners = self.switch(child),
                "grants" => self.contents.manage.grants = self.switch(child),
                "partitions" => match self.name(child).as_deref() {
                    Some("external") => self.contents.manage.external_partitions = true,
                    Some("managed") | None => {}
                    Some(_) => self.problems.push(
                        Problem::new(child.span, "partitions are `managed` or `external`")
                            .help("external: those that no file declares are left to the program that creates them"),
                    ),
                },
                _ => self.unknown(child, &["schema", "exclude", "owners", "grants", "partitions"]),
            }
        }
    }

    /// The only argument, a text.
    fn name(&mut self, node: &Node) -> Option<String> {
        match node.args.as_slice() {
            [arg] => self.text(arg),
            other => {
                let message = format!("`{}` takes one value, not {}", node.name, other.len());
                self.problems.push(Problem::new(node.span, message));
                None
            }
        }
    }

    /// The arguments, at least one, all texts.
    fn names(&mut self, node: &Node) -> Vec<String> {
        if node.args.is_empty() {
            self.problems.push(Problem::new(node.span, format!("`{}` names nothing", node.name)));
        }
        node.args.iter().filter_map(|arg| self.text(arg)).collect()
    }

    fn text(&mut self, arg: &Arg) -> Option<String> {
        let text = arg.as_text().map(|text| text.to_string());
        if text.is_none() {
            self.problems.push(Problem::new(arg.span, "a string belongs here").help("put it into quotes"));
        }
        text
    }

    fn switch(&mut self, node: &Node) -> bool {
        match node.args.as_slice() {
            [Arg { value: Scalar::Bool(value), .. }] => *value,
            _ => {
                self.problems.push(
                    Problem::new(node.span, format!("`{}` is #true or #false", node.name))
                        .help(format!("write `{} #false`", node.name)),
                );
                true
            }
        }
    }

    fn only(&mut self, nodes: &[Node], node: &Node) {
        let first = nodes.iter().find(|other| other.name == node.name);
        if first.is_some_and(|first| first.span != node.span) {
            self.problems
                .push(Problem::new(node.span, format!("`{}` is given twice", node.name)).help("remove one of the two"));
        }
    }

    fn unknown(&mut self, node: &Node, known: &[&str]) {
        let help = nearest(&node.name, known.iter().copied())
            .map_or_else(|| format!("known here: {}", known.join(", ")), |near| format!("did you mean `{near}`?"));
        self.problems.push(Problem::new(node.name_span, format!("`{}` is unknown here", node.name)).help(help));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Contents> {
        parse(Path::new("setpoint.kdl"), text.to_owned())
    }

    #[test]
    fn everything_that_it_can_say() {
        let contents = read(
            "env local url=\"postgresql://localhost/app\"\nenv prod {\n    url-from PROD_URL\n    role app=prod_app\n}\n\
             default-env local\nowner app\nmanage {\n    schema a b\n    exclude \"tmp_*\"\n    owners #false\n    grants #false\n    \
             partitions external\n}\n",
        )
        .unwrap();
        assert_eq!(contents.environments.len(), 2);
        assert_eq!(contents.environments[1].source, Source::Variable("PROD_URL".to_owned()));
        assert_eq!(contents.environments[1].roles[&Ident::from("app")], Ident::from("prod_app"));
        assert_eq!(contents.default_env.as_deref(), Some("local"));
        let manage = contents.manage;
        assert_eq!(manage.owner, Some(Ident::from("app")));
        assert_eq!(manage.schemas.map(|list| list.len()), Some(2));
        assert!(!manage.owners && !manage.grants && manage.external_partitions && manage.exclude.len() == 1);
    }

    #[test]
    fn what_the_documentation_shows_is_read() {
        let page = include_str!("../../docs/project.md");
        let shown: Vec<&str> = page.split("```kdl\n").skip(1).filter_map(|part| part.split("```").next()).collect();
        assert_eq!(shown.len(), 1);
        let contents = read(shown[0]).unwrap();
        assert_eq!((contents.environments.len(), contents.manage.exclude.len()), (2, 2));
    }

    #[test]
    fn an_empty_file_manages_everything() {
        let manage = read("").unwrap().manage;
        assert!(manage.owners && manage.grants && manage.schemas.is_none() && manage.owner.is_none());
    }

    #[test]
    fn mistakes_have_places_and_remedies() {
        for (text, expected) in [
            ("enviroment x", "setpoint.kdl:1:1"),
            ("ovner x", "did you mean `owner`?"),
            ("env a", "has no address"),
            ("env a url=\"postgresql://u:hunter2@h/d\"", "no secrets"),
            ("default-env a", "there is no environment `a`"),
            ("owner a\nowner b", "setpoint.kdl:2:1"),
            ("manage { owners no }", "#true or #false"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert_eq!(error.class.exit_code(), 78);
        }
    }

    #[test]
    fn the_owner_is_written_in_place() {
        let owner = Ident::from("app user");
        assert_eq!(with_owner("// hello\n", &owner), "// hello\nowner \"app user\"\n");
        assert_eq!(with_owner("owner old // who\nenv a url=x", &owner), "owner \"app user\" // who\nenv a url=x");
    }
}
