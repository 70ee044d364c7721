//! The project: where its files are, which databases it knows, and which parts of them it manages.

mod database;
mod file;
mod init;
pub mod links;
mod manage;

use std::fs;
use std::path::{Path, PathBuf};

use rustc_hash::FxHashMap;

use crate::kdl;
use crate::kdl::witness::{self, Witness};
use crate::load::whole;
use crate::model::{Error, Ident, Result};

pub use init::init;
pub use manage::{Manage, Pattern, Written};

/// The project file's name.
pub const FILE: &str = "setpoint.kdl";

/// A project as its file describes it.
#[derive(Debug, Clone)]
pub struct Project {
    /// The directory of the project file.
    pub root: PathBuf,
    /// The project file.
    pub file: PathBuf,
    /// The desired schema.
    pub schema_dir: PathBuf,
    /// The saved plans.
    pub plans_dir: PathBuf,
    /// The databases that have a name.
    pub environments: Vec<Environment>,
    /// The default environment.
    pub default_env: Option<String>,
    /// What is managed, and who owns it.
    pub manage: Manage,
}

/// A database that has a name.
#[derive(Debug, Clone)]
pub struct Environment {
    /// Its name.
    pub name: String,
    /// Where its address comes from.
    pub source: Source,
    /// Role names in the files → role names there.
    pub roles: FxHashMap<Ident, Ident>,
}

/// Where an environment's address comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Written in the project file, without a password.
    Url(String),
    /// In that environment variable, or in `.env`.
    Variable(String),
}

impl Project {
    /// The project of a directory: the nearest `setpoint.kdl` in it or above it.
    ///
    /// # Errors
    /// `Config` if there is none, or if it is wrong.
    pub fn find(start: &Path) -> Result<Self> {
        match Self::root_around(start) {
            Some(root) => Self::read(&root.join(FILE)),
            None => {
                let absolute = std::path::absolute(start).unwrap_or_else(|_| start.to_path_buf());
                Err(Error::config(format!("there is no project here: no {FILE} in {} or above it", absolute.display()))
                    .remedy("begin one with `setpoint init`, or name its directory: `setpoint -C DIR …`"))
            }
        }
    }

    /// The folder of the project that a directory is in.
    pub fn root_around(start: &Path) -> Option<PathBuf> {
        let absolute = std::path::absolute(start).unwrap_or_else(|_| start.to_path_buf());
        absolute.ancestors().find(|dir| dir.join(FILE).is_file()).map(Path::to_path_buf)
    }

    /// The project of that file.
    ///
    /// # Errors
    /// `Config` if it cannot be read or is wrong.
    pub fn read(path: &Path) -> Result<Self> {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        let root = absolute.parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf);
        let (schema_dir, plans_dir) = (root.join("schema"), root.join("plans"));
        links::refuse_outward(&root, &absolute, &[&schema_dir, &plans_dir])?;
        let text = fs::read_to_string(path).map_err(|error| {
            Error::config(format!("cannot read {}: {error}", path.display()))
                .remedy("begin a project with `setpoint init`")
        })?;
        let contents = file::parse(path, text)?;
        Ok(Self {
            schema_dir,
            plans_dir,
            root,
            file: absolute,
            environments: contents.environments,
            default_env: contents.default_env,
            manage: contents.manage,
        })
    }

    /// The environment of that name.
    ///
    /// # Errors
    /// `Config` if there is none.
    pub fn environment(&self, name: &str) -> Result<&Environment> {
        self.environments.iter().find(|env| env.name == name).ok_or_else(|| {
            let names: Vec<&str> = self.environments.iter().map(|env| env.name.as_str()).collect();
            let known = if names.is_empty() {
                "it defines none".to_owned()
            } else {
                format!("it defines {}", names.join(", "))
            };
            Error::config(format!("{FILE} defines no environment “{name}”"))
                .detail(known)
                .remedy(format!("add `env {name} url-from=\"DATABASE_URL\"` to {}", self.file.display()))
        })
    }

    /// Writes the owner of everything into the project file, whose other bytes stay as they are.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn set_owner(&mut self, owner: &Ident) -> Result<()> {
        let cannot = |error: std::io::Error| Error::failed(format!("cannot write {}: {error}", self.file.display()));
        let text = fs::read_to_string(&self.file).map_err(cannot)?;
        let new = file::with_owner(&text, owner);
        if witness::of_edit(&kdl::unix_lines(&text), &kdl::unix_lines(&new)) == Witness::Differs {
            return Err(Error::failed(format!("two KDL parsers disagree about the new {}", self.file.display()))
                .remedy(format!("add `owner {}` to it by hand, and report the file", owner.as_str())));
        }
        whole::write(&self.file, &new)?;
        self.manage.owner = Some(owner.clone());
        Ok(())
    }
}
