//! Decides which database is meant: by the command line, an environment, `DATABASE_URL`, `.env`, the default environment, or libpq's
//! variables.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use crate::catalog::{By, Connect, Sources};
use crate::model::{Error, Result};

use super::{Environment, Project, Source};

/// The variable that holds the database's address.
const VARIABLE: &str = "DATABASE_URL";

/// The variable that chooses an environment, as `--env` does.
const ENVIRONMENT: &str = "SETPOINT_ENV";

/// The variable that by custom holds the address of the server itself, where `DATABASE_URL` is that of a pooler.
const DIRECT: &str = "DATABASE_URL_DIRECT";

impl Project {
    /// The database that is meant: `url` from the command line, else the environment `env` from there or from `SETPOINT_ENV`, else
    /// `DATABASE_URL`, both of the environment or of `.env`, else the default environment, else what libpq's variables say.
    ///
    /// # Errors
    /// `Config` if what is named does not exist or cannot be understood.
    pub fn target(&self, url: Option<&str>, env: Option<&str>) -> Result<Connect> {
        self.target_with(url, env, &|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    /// Takes over the role names of the environment that `target` chooses by the same arguments.
    ///
    /// # Errors
    /// `Config` if the environment does not exist.
    pub fn enter(&mut self, url: Option<&str>, env: Option<&str>) -> Result<()> {
        let process = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        if let Some(env) = self.chosen(url, env, &process)? {
            self.manage.roles = env.roles.clone();
        }
        Ok(())
    }

    /// The environment to use, if any: an explicit one, or the default.
    fn chosen(
        &self,
        url: Option<&str>,
        env: Option<&str>,
        process: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<&Environment>> {
        let said = if url.is_none() && env.is_none() { self.said(process)? } else { None };
        match (env.or(said.as_deref()), &self.default_env) {
            (Some(name), _) => self.environment(name).map(Some),
            (None, Some(name)) if url.is_none() && self.variable(VARIABLE, process)?.is_none() => {
                self.environment(name).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// What `SETPOINT_ENV` says. That of `.env` replaces no address that the process gives but by another one of the process.
    fn said(&self, process: &dyn Fn(&str) -> Option<String>) -> Result<Option<String>> {
        let Some(name) = self.variable(ENVIRONMENT, process)? else { return Ok(None) };
        let by_process = process(ENVIRONMENT).is_some() || process(VARIABLE).is_none();
        let counts = by_process
            || match &self.environment(&name)?.source {
                Source::Url(_) => false,
                Source::Variable(variable) => process(variable).is_some(),
            };
        Ok(Some(name).filter(|_| counts))
    }

    fn target_with(
        &self,
        url: Option<&str>,
        env: Option<&str>,
        process: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Connect> {
        let file = dot_env(&self.root)?;
        let known = |name: &str| process(name).or_else(|| file.get(name).filter(|value| !value.is_empty()).cloned());
        // What libpq reads may appear in `.env`, too.
        let dot_env = |name: &str| file.get(name).filter(|_| name.starts_with("PG")).cloned();
        let resolve = |text: Option<&str>, by: By| -> Result<Connect> {
            let sources = Sources { text, by, process, dot_env: &dot_env };
            Ok(Connect::from_sources(&sources)?.direct_in(known(DIRECT).map(|_| DIRECT.to_owned())))
        };
        let from = |name: &str| match process(name) {
            Some(_) => name.to_owned(),
            None => format!("{name} in {}", self.root.join(".env").display()),
        };
        let resolve_variable = |name: &str, text: &str| {
            let by = if process(name).is_some() { By::Process } else { By::DotEnv };
            let target =
                resolve(Some(text), by).map_err(|error| error.detail(format!("in the variable {}", from(name))))?;
            Ok(target
                .said_by(from(name))
                .direct_in(known(DIRECT).filter(|_| name != DIRECT).map(|_| DIRECT.to_owned())))
        };
        if let Some(url) = url {
            return Ok(resolve(Some(url), By::Process)?.said_by("--url"));
        }
        match self.chosen(url, env, process)? {
            Some(Environment { name, source: Source::Url(text), .. }) => {
                Ok(resolve(Some(text), By::Project)?.said_by(format!("env {name} in {}", self.file.display())))
            }
            Some(Environment { name, source: Source::Variable(variable), .. }) => match known(variable) {
                Some(text) => resolve_variable(variable, &text),
                None => Err(Error::config(format!(
                    "the environment “{name}” takes its address from {variable}, which is not set"
                ))
                .remedy(format!("set {variable}, in the environment or in {}", self.root.join(".env").display()))),
            },
            None => match known(VARIABLE) {
                Some(text) => resolve_variable(VARIABLE, &text),
                None => Ok(resolve(None, By::Process)?
                    .said_by(format!("libpq's variables and defaults, because {VARIABLE} is not set"))),
            },
        }
    }

    /// A variable of the process, else of `.env` in the project's directory.
    fn variable(&self, name: &str, process: &dyn Fn(&str) -> Option<String>) -> Result<Option<String>> {
        match process(name) {
            Some(value) => Ok(Some(value)),
            None => Ok(dot_env(&self.root)?.remove(name).filter(|value| !value.is_empty())),
        }
    }
}

/// The variables of `.env`. The process's own environment stays as it is.
fn dot_env(root: &Path) -> Result<HashMap<String, String>> {
    let path = root.join(".env");
    let read = match dotenvy::from_path_iter(&path) {
        Ok(lines) => lines.collect::<Result<HashMap<_, _>, _>>(),
        Err(error) => Err(error),
    };
    match read {
        Ok(found) => Ok(found),
        Err(dotenvy::Error::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(HashMap::new()),
        Err(dotenvy::Error::Io(error)) => Err(Error::config(format!("cannot read {}: {error}", path.display()))),
        // The driver's message repeats the line, which may hold a password.
        Err(_) => Err(Error::config(format!("{} has a line that is not NAME=value", path.display()))
            .remedy("put values with spaces or # into quotes")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::Manage;

    fn project(root: &Path) -> Project {
        let env = |name: &str, source| Environment { name: name.to_owned(), source, roles: Default::default() };
        Project {
            root: root.to_path_buf(),
            file: root.join("setpoint.kdl"),
            schema_dir: root.join("schema"),
            plans_dir: root.join("plans"),
            environments: vec![
                env("local", Source::Url("postgresql://me@local/app".to_owned())),
                env("prod", Source::Variable("PROD_URL".to_owned())),
            ],
            default_env: Some("local".to_owned()),
            manage: Manage::default(),
        }
    }

    #[test]
    fn each_source_yields_to_those_before_it() {
        let dir = std::env::temp_dir().join(format!("setpoint-project-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let project = project(&dir);
        let none = |_: &str| None;
        let set = |name: &str| match name {
            "DATABASE_URL" => Some("postgresql://me@variable/app".to_owned()),
            "PROD_URL" => Some("postgresql://me:secret@prod/app".to_owned()),
            _ => None,
        };
        let host = |url: Option<&str>, env: Option<&str>, process: &dyn Fn(&str) -> Option<String>| {
            project.target_with(url, env, process).map(|target| target.hosts().join(","))
        };
        assert_eq!(host(Some("postgresql://me@line/x"), Some("prod"), &set).unwrap(), "line");
        assert_eq!(host(None, Some("prod"), &set).unwrap(), "prod");
        assert_eq!(host(None, None, &set).unwrap(), "variable");
        let chosen = |name: &str| if name == "SETPOINT_ENV" { Some("prod".to_owned()) } else { set(name) };
        assert_eq!(host(None, None, &chosen).unwrap(), "prod");
        assert_eq!(host(None, Some("local"), &chosen).unwrap(), "local");
        assert_eq!(host(None, None, &none).unwrap(), "local");
        assert!(host(None, Some("prod"), &none).unwrap_err().to_string().contains("PROD_URL"));
        assert!(host(None, Some("test"), &none).unwrap_err().to_string().contains("local, prod"));
        std::fs::write(dir.join(".env"), "PGUSER=filed\nPGHOST=unused\n").unwrap();
        let target = project.target_with(Some("postgresql://line/x"), None, &none).unwrap();
        assert_eq!((target.user() == "filed", target.hosts().join(",").as_str()), (false, "line"));
        assert_eq!(target.passed_over(), ["PGUSER"]);
        let target = project.target_with(None, Some("local"), &none).unwrap();
        assert_eq!((target.user(), target.hosts().join(",").as_str()), ("me", "local"));
        std::fs::write(dir.join(".env"), "SETPOINT_ENV=local\n").unwrap();
        assert_eq!(host(None, None, &set).unwrap(), "variable");
        std::fs::write(dir.join(".env"), "SETPOINT_ENV=prod\n").unwrap();
        assert_eq!(host(None, None, &set).unwrap(), "prod");
        std::fs::write(dir.join(".env"), "DATABASE_URL=postgresql://me@file/app\n").unwrap();
        assert_eq!(host(None, None, &none).unwrap(), "file");
        assert_eq!(host(None, None, &set).unwrap(), "variable");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
