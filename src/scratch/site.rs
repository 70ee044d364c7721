//! A database on a throwaway server in which a role without any privileges on the machine builds what others wrote.

use std::sync::Arc;

use crate::catalog::{Connect, Session};
use crate::model::{Error, Ident, Result};
use crate::sql;

use super::helped::Request;
use super::{Binaries, Server};

/// Whether the authors of files and plans may do on this machine what its user may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Author {
    /// Anyone who can open a pull request.
    #[default]
    Stranger,
    /// Somebody who may run programs here anyway: everything is built by a superuser.
    Trusted,
}

impl Author {
    /// The option of the command line that says so.
    pub const OPTION: &'static str = "--trust-files";
}

/// A database, and the roles that build in it.
#[derive(Debug)]
pub struct Site {
    server: Arc<Server>,
    author: Author,
    database: String,
    /// Who builds: a plain role that may act as every other plain one.
    builder: Ident,
    /// The database's owner, whom every plain role is a member of: what one of them may own, each of them may.
    owner: Ident,
}

impl Site {
    /// Makes an empty one.
    ///
    /// # Errors
    /// The server's.
    pub async fn new(server: &Arc<Server>, purpose: &str, author: Author) -> Result<Self> {
        let [builder, owner] = server.builders()?;
        let site = Self { server: Arc::clone(server), author, database: server.fresh_name(purpose), builder, owner };
        if author == Author::Trusted {
            server.create_database(&site.database).await?;
            return Ok(site);
        }
        let (builder, owner) = (sql::name(&site.builder).to_string(), sql::name(&site.owner).to_string());
        let database = sql::name(&Ident::from(site.database.as_str())).to_string();
        let session = site.keeper().await?;
        let made = format!("CREATE ROLE {owner} NOLOGIN; CREATE ROLE {builder} LOGIN IN ROLE {owner}");
        session.batch(&made).await.or_else(|error| if is_taken(&error) { Ok(()) } else { Err(error) })?;
        session.batch(&format!("CREATE DATABASE {database} TEMPLATE template0 OWNER {owner}")).await?;
        let old = !session.version.at_least(15);
        session.close().await;
        if old {
            // Later versions give it to the database's owner.
            let session = site.inside().await?;
            session.batch(&format!("ALTER SCHEMA public OWNER TO {owner}")).await?;
            session.close().await;
        }
        Ok(site)
    }

    /// A copy of the database, where the same roles build. This one must have no connections.
    ///
    /// # Errors
    /// The server's.
    pub async fn copy(&self, purpose: &str) -> Result<Self> {
        let copy = Self {
            server: Arc::clone(&self.server),
            author: self.author,
            database: self.server.fresh_name(purpose),
            builder: self.builder.clone(),
            owner: self.owner.clone(),
        };
        let quoted = |name: &str| sql::name(&Ident::from(name)).to_string();
        let owner = match self.author {
            Author::Trusted => String::new(),
            Author::Stranger => format!(" OWNER {}", sql::name(&self.owner)),
        };
        let session = self.keeper().await?;
        let (new, template) = (quoted(&copy.database), quoted(&self.database));
        session.batch(&format!("CREATE DATABASE {new} TEMPLATE {template}{owner}")).await?;
        session.close().await;
        Ok(copy)
    }

    /// Whom the files are from.
    pub fn author(&self) -> Author {
        self.author
    }

    /// How the building role reaches the database.
    pub fn connect(&self) -> Connect {
        match self.author {
            Author::Trusted => self.server.connect(&self.database),
            Author::Stranger => self.server.connect_as(self.builder.as_str(), &self.database),
        }
    }

    /// The password of the building role, if it has one.
    pub fn password(&self) -> Option<&str> {
        match self.author {
            Author::Trusted => self.server.password(),
            Author::Stranger => None,
        }
    }

    /// The programs of its server.
    pub fn binaries(&self) -> &Binaries {
        &self.server.binaries
    }

    /// The role in whose name a schema is created: what is in a schema of the owner's can be given to any plain role.
    pub fn schemas_owner(&self) -> Option<&Ident> {
        (self.author == Author::Stranger).then_some(&self.owner)
    }

    /// A session of the building role.
    ///
    /// # Errors
    /// The server's.
    pub async fn session(&self, purpose: &str) -> Result<Session> {
        Session::open(&self.connect(), purpose).await
    }

    /// Drops the database.
    ///
    /// # Errors
    /// The server's.
    pub async fn drop(self) -> Result<()> {
        self.server.drop_database(&self.database).await
    }

    /// The superuser, before anybody else has used the database.
    async fn keeper(&self) -> Result<Session> {
        Session::open(&self.server.connect("postgres"), "scratch").await
    }

    /// The superuser in this database, which queries it but runs nothing that could call the author's code.
    async fn inside(&self) -> Result<Session> {
        Session::open(&self.server.connect(&self.database), "scratch").await
    }

    /// Creates a role that files or steps name; an existing one stays as it is. For those who are trusted it is a superuser, since
    /// some objects can only belong to a superuser.
    ///
    /// # Errors
    /// The server's.
    pub async fn make_role(&self, role: &Ident) -> Result<()> {
        let session = self.keeper().await?;
        let name = sql::name(role).to_string();
        let made = match self.author {
            Author::Trusted => session.batch(&format!("CREATE ROLE {name} SUPERUSER NOLOGIN")).await,
            Author::Stranger => session.batch(&self.plain(&name)).await,
        };
        session.close().await;
        made.or_else(|error| if is_taken(&error) { Ok(()) } else { Err(error) })
    }

    /// A role that may own what any of them owns, and that the builder may act as.
    fn plain(&self, name: &str) -> String {
        let (builder, owner) = (sql::name(&self.builder), sql::name(&self.owner));
        format!("CREATE ROLE {name} NOLOGIN IN ROLE {owner}; GRANT {name} TO {builder}")
    }

    /// Makes a role in whose name privileges are given. It is not a superuser: what those give counts as given by the owner. What such a role
    /// may look into by its memberships, which are not part of a plan, it may look into here.
    ///
    /// # Errors
    /// The server's.
    pub async fn make_grantor(&self, role: &Ident) -> Result<()> {
        if role.as_str().starts_with("pg_") || self.is_own(role) {
            return Ok(());
        }
        let session = self.keeper().await?;
        let name = sql::name(role).to_string();
        match self.author {
            Author::Trusted => {
                // It may be there.
                _ = session.batch(&format!("CREATE ROLE {name} NOLOGIN")).await;
                session.batch(&format!("ALTER ROLE {name} NOSUPERUSER")).await?;
            }
            Author::Stranger => _ = session.batch(&self.plain(&name)).await,
        }
        if session.version.at_least(14) {
            session.batch(&format!("GRANT pg_read_all_data TO {name}")).await?;
        }
        session.close().await;
        Ok(())
    }

    fn is_own(&self, role: &Ident) -> bool {
        *role == self.builder || *role == self.owner || role.as_str() == self.server.superuser()
    }

    /// Does for the builder what only a superuser may, where that runs nothing of the author's. False if it is something else.
    ///
    /// # Errors
    /// The server's.
    pub async fn help(&self, statement: &str) -> Result<bool> {
        let Some(request) = Request::of(statement).filter(|_| self.author == Author::Stranger) else {
            return Ok(false);
        };
        // Anybody may call what an extension provides: without walls, that may be a way out.
        if self.server.walls().missing().is_some() {
            return Ok(false);
        }
        let session = self.inside().await?;
        let done = request.run(&session, &self.builder).await;
        session.close().await;
        done
    }
}

fn is_taken(error: &Error) -> bool {
    // Reserved names are those of roles that the server brings.
    // Two that create it at the same time conflict in the catalog.
    matches!(error.sqlstate.as_deref(), Some("42710" | "42939" | "23505"))
}

/// True if somebody with more privileges could have done it.
pub fn lacks_rights(error: &Error) -> bool {
    error.sqlstate.as_deref() == Some("42501")
}
