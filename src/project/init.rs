//! Creates a new project: its file with explanations, and its two directories.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::Path;

use crate::model::{Error, Result};

use super::FILE;

const TEMPLATE: &str = r#"// The project file of setpoint. Everything here is optional.

// Named databases, for `setpoint --env production plan`. Without --url and --env, setpoint uses the variable DATABASE_URL (also from
// the file .env beside this one), then the default environment. Keep passwords out of this file: url-from names the variable
// that holds the address.
//
// env local url="postgresql://localhost/app"
// env production {
//     url-from "PRODUCTION_URL"
//     role app="production_app"    // what the role `app` of the schema files is called there
// }
// default-env local

// The owner of everything whose file names no other. Without it, the role that creates an object owns it.
//
// owner app

// What is managed. Everything else is never touched.
//
// manage {
//     schema public billing       // only these schemas; without it, all of them
//     exclude "tmp_*" "audit.*"   // names, or schema.name
//     owners #false               // somebody else sets the owners
//     grants #false               // somebody else sets the privileges
//     partitions external         // a program of yours creates partitions at run time
// }
"#;

/// Creates what a project in that directory lacks, and reports it. Nothing that exists is changed.
///
/// # Errors
/// If something cannot be written.
pub fn init(dir: &Path) -> Result<Vec<String>> {
    let mut done = Vec::new();
    for name in ["schema", "plans"] {
        let path = dir.join(name);
        if path.is_dir() {
            done.push(format!("{name}/ already exists"));
        } else {
            fs::create_dir_all(&path).map_err(|error| cannot(&path, &error))?;
            done.push(format!("created {name}/"));
        }
    }
    let path = dir.join(FILE);
    match OpenOptions::new().write(true).create_new(true).open(&path) {
        Ok(mut file) => {
            file.write_all(TEMPLATE.as_bytes()).map_err(|error| cannot(&path, &error))?;
            done.insert(0, format!("wrote {FILE}"));
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => done.insert(0, format!("{FILE} already exists")),
        Err(error) => return Err(cannot(&path, &error)),
    }
    Ok(done)
}

fn cannot(path: &Path, error: &std::io::Error) -> Error {
    Error::failed(format!("cannot write {}: {error}", path.display()))
        .remedy("check that the directory is yours and may be written to")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::Project;

    #[test]
    fn a_new_project_is_found_and_never_overwritten() {
        let dir = std::env::temp_dir().join(format!("setpoint-init-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        assert!(Project::find(&dir).unwrap_err().remedy.is_some_and(|text| text.contains("setpoint init")));
        assert_eq!(init(&dir).unwrap(), ["wrote setpoint.kdl", "created schema/", "created plans/"]);
        let project = Project::find(&dir.join("schema")).unwrap();
        assert_eq!(project.root, dir);
        fs::write(dir.join(FILE), "owner app\n").unwrap();
        assert_eq!(
            init(&dir).unwrap(),
            ["setpoint.kdl already exists", "schema/ already exists", "plans/ already exists"]
        );
        let mut project = Project::find(&dir).unwrap();
        project.set_owner(&"other".into()).unwrap();
        assert_eq!(fs::read_to_string(dir.join(FILE)).unwrap(), "owner other\n");
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn what_the_template_explains_can_be_said() {
        let said: String = TEMPLATE
            .lines()
            .filter_map(|line| line.strip_prefix("// "))
            .filter(|line| {
                ["env ", "default-env", "owner ", "manage ", "    ", "}"].iter().any(|start| line.starts_with(start))
            })
            .map(|line| format!("{line}\n"))
            .collect();
        let contents = super::super::file::parse(Path::new(FILE), said).unwrap();
        assert_eq!(contents.environments.len(), 2);
        assert!(contents.manage.external_partitions);
    }
}
