//! What the superuser of a throwaway server does for a plain role: installing an extension by its name, and what follows from it.
//!
//! An extension's script runs with superuser privileges and looks names up in the schema that it is installed into and in those of the
//! extensions that it requires: none of these may contain anything that others made, or the script could call it.

use crate::catalog::Session;
use crate::model::{Ident, Result};
use crate::sql;
use crate::sql::lex::{self, Kind};

/// Wrappers that limit what a plain role may reach with them: they require a password of its own, or a role.
const WRAPPERS: &[&str] = &["postgres_fdw", "file_fdw"];

/// One of the few statements.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request {
    Create { name: Ident, schema: Option<Ident>, version: Option<String> },
    Update { name: Ident, version: Option<String> },
    Move { name: Ident, schema: Ident },
    Drop { name: Ident },
    Comment { name: Ident, text: Option<String> },
}

impl Request {
    /// The request that a statement is, if it is one and nothing else.
    pub(super) fn of(statement: &str) -> Option<Self> {
        let mut words = Words::of(statement)?;
        let request = match words.keyword()?.as_str() {
            "create" => {
                words.expect("extension")?;
                if words.take("if") {
                    words.expect("not")?;
                    words.expect("exists")?;
                }
                let name = words.name()?;
                _ = words.take("with");
                let schema = if words.take("schema") { Some(words.name()?) } else { None };
                let version = if words.take("version") { Some(words.text()?) } else { None };
                Self::Create { name, schema, version }
            }
            "alter" => {
                words.expect("extension")?;
                let name = words.name()?;
                if words.take("update") {
                    let version = if words.take("to") { Some(words.text()?) } else { None };
                    Self::Update { name, version }
                } else {
                    words.expect("set")?;
                    words.expect("schema")?;
                    Self::Move { name, schema: words.name()? }
                }
            }
            "drop" => {
                words.expect("extension")?;
                Self::Drop { name: words.name()? }
            }
            "comment" => {
                words.expect("on")?;
                words.expect("extension")?;
                let name = words.name()?;
                words.expect("is")?;
                let text = if words.take("null") { None } else { Some(words.text()?) };
                Self::Comment { name, text }
            }
            _ => return None,
        };
        words.is_over().then_some(request)
    }

    /// Does it. False: something of others is in the way.
    ///
    /// # Errors
    /// The server's.
    pub(super) async fn run(&self, session: &Session, builder: &Ident) -> Result<bool> {
        let sql = match self {
            Self::Create { name, schema, version } => {
                return create(session, builder, name, schema.as_ref(), version.as_deref()).await;
            }
            Self::Update { name, version } => {
                if !is_clear(session, name, None).await? {
                    return Ok(false);
                }
                format!("ALTER EXTENSION {} UPDATE{}", sql::name(name), to("TO", version.as_deref()))
            }
            Self::Move { name, schema } => {
                format!("ALTER EXTENSION {} SET SCHEMA {}", sql::name(name), sql::name(schema))
            }
            Self::Drop { name } => format!("DROP EXTENSION {}", sql::name(name)),
            Self::Comment { name, text } => {
                let text = text.as_deref().map_or_else(|| "NULL".to_owned(), sql::literal);
                format!("COMMENT ON EXTENSION {} IS {text}", sql::name(name))
            }
        };
        session.batch(&sql).await?;
        Ok(true)
    }
}

async fn create(
    session: &Session,
    builder: &Ident,
    name: &Ident,
    schema: Option<&Ident>,
    version: Option<&str>,
) -> Result<bool> {
    let query = "SELECT v.schema, v.relocatable FROM pg_catalog.pg_available_extensions e \
                 JOIN pg_catalog.pg_available_extension_versions v ON v.name OPERATOR(pg_catalog.=) e.name \
                 AND v.version OPERATOR(pg_catalog.=) COALESCE($2::text, e.default_version) WHERE e.name OPERATOR(pg_catalog.=) $1::text::name";
    let mut rows = session.rows(query, &[&name.as_str(), &version]).await?;
    let Some(row) = rows.first_mut() else { return Ok(false) };
    let (fixed, relocatable) = (row.text_opt(), row.next::<bool>());
    let public = Ident::from("public");
    let target = fixed.map(Ident::new).or_else(|| schema.cloned()).unwrap_or(public);
    let version = to("VERSION", version);
    let (quoted, place) = (sql::name(name).to_string(), sql::name(&target).to_string());
    let sql = if is_clear(session, name, Some(&target)).await? {
        format!("CREATE EXTENSION {quoted} SCHEMA {place}{version}")
    } else if relocatable && is_clear(session, name, None).await? {
        // Elsewhere nothing is in its way.
        let aside = sql::name(&Ident::from(super::keeper::random_name("aside")?.as_str())).to_string();
        format!(
            "CREATE SCHEMA {aside}; CREATE EXTENSION {quoted} SCHEMA {aside}{version}; \
             ALTER EXTENSION {quoted} SET SCHEMA {place}; DROP SCHEMA {aside}"
        )
    } else {
        return Ok(false);
    };
    session.batch(&sql).await?;
    if WRAPPERS.contains(&name.as_str()) {
        session.batch(&format!("GRANT USAGE ON FOREIGN DATA WRAPPER {quoted} TO {}", sql::name(builder))).await?;
    }
    Ok(true)
}

/// True if nothing that others own is in the schemas that the extension's script looks into: the target, or where it is installed
/// without one, and those of all extensions that it needs.
async fn is_clear(session: &Session, name: &Ident, target: Option<&Ident>) -> Result<bool> {
    let query = "WITH RECURSIVE needed (name) AS (SELECT $1::text::name COLLATE pg_catalog.\"C\" UNION \
                 SELECT r FROM needed n JOIN pg_catalog.pg_available_extension_versions v ON v.name OPERATOR(pg_catalog.=) n.name, \
                 LATERAL pg_catalog.unnest(v.requires) AS r), \
                 looked (oid) AS (SELECT e.extnamespace FROM pg_catalog.pg_extension e JOIN needed n ON e.extname OPERATOR(pg_catalog.=) n.name \
                 UNION SELECT s.oid FROM pg_catalog.pg_namespace s WHERE s.nspname OPERATOR(pg_catalog.=) $2::text::name), \
                 found (class, schema, owner) AS (\
                 SELECT tableoid, pronamespace, proowner FROM pg_catalog.pg_proc UNION ALL \
                 SELECT tableoid, oprnamespace, oprowner FROM pg_catalog.pg_operator UNION ALL \
                 SELECT tableoid, typnamespace, typowner FROM pg_catalog.pg_type UNION ALL \
                 SELECT tableoid, relnamespace, relowner FROM pg_catalog.pg_class UNION ALL \
                 SELECT tableoid, collnamespace, collowner FROM pg_catalog.pg_collation UNION ALL \
                 SELECT tableoid, opcnamespace, opcowner FROM pg_catalog.pg_opclass UNION ALL \
                 SELECT tableoid, opfnamespace, opfowner FROM pg_catalog.pg_opfamily UNION ALL \
                 SELECT tableoid, connamespace, conowner FROM pg_catalog.pg_conversion UNION ALL \
                 SELECT tableoid, dictnamespace, dictowner FROM pg_catalog.pg_ts_dict UNION ALL \
                 SELECT tableoid, cfgnamespace, cfgowner FROM pg_catalog.pg_ts_config) \
                 SELECT 1 FROM found f JOIN looked l ON l.oid OPERATOR(pg_catalog.=) f.schema \
                 JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) f.owner WHERE NOT r.rolsuper LIMIT 1";
    let target = target.map(Ident::as_str);
    Ok(session.rows(query, &[&name.as_str(), &target]).await?.is_empty())
}

fn to(word: &str, version: Option<&str>) -> String {
    version.map_or_else(String::new, |version| format!(" {word} {}", sql::literal(version)))
}

/// The pieces of a statement without its blanks.
struct Words<'a>(std::iter::Peekable<std::vec::IntoIter<lex::Piece<'a>>>);

impl<'a> Words<'a> {
    /// Of a statement without comments and a second one behind it.
    fn of(statement: &'a str) -> Option<Self> {
        let mut pieces: Vec<_> = lex::pieces(statement).filter(|piece| piece.kind != Kind::Space).collect();
        if pieces.last().is_some_and(|piece| piece.text == ";") {
            pieces.pop();
        }
        Some(Self(pieces.into_iter().peekable()))
    }

    fn keyword(&mut self) -> Option<String> {
        self.0.next_if(|piece| piece.kind == Kind::Word).map(|piece| piece.text.to_ascii_lowercase())
    }

    fn take(&mut self, word: &str) -> bool {
        self.0.next_if(|piece| piece.kind == Kind::Word && piece.text.eq_ignore_ascii_case(word)).is_some()
    }

    fn expect(&mut self, word: &str) -> Option<()> {
        self.take(word).then_some(())
    }

    fn name(&mut self) -> Option<Ident> {
        let piece = self.0.next()?;
        match piece.kind {
            Kind::Word if piece.text.is_ascii() => Some(Ident::from(piece.text.to_ascii_lowercase().as_str())),
            Kind::Quoted if piece.text.starts_with('"') => Some(Ident::from(piece.content().as_str())),
            _ => None,
        }
    }

    fn text(&mut self) -> Option<String> {
        self.0.next_if(|piece| piece.kind == Kind::String && piece.text.starts_with('\'')).map(|piece| piece.content())
    }

    fn is_over(&mut self) -> bool {
        self.0.peek().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_statements_about_extensions() {
        let create = |name: &str, schema: Option<&str>, version: Option<&str>| {
            Some(Request::Create {
                name: Ident::from(name),
                schema: schema.map(Ident::from),
                version: version.map(str::to_owned),
            })
        };
        assert_eq!(Request::of("CREATE EXTENSION dblink"), create("dblink", None, None));
        let whole = "create extension if not exists \"uuid-ossp\" WITH schema App version '1.1';";
        assert_eq!(Request::of(whole), create("uuid-ossp", Some("app"), Some("1.1")));
        assert_eq!(Request::of("DROP EXTENSION x"), Some(Request::Drop { name: Ident::from("x") }));
        for other in [
            "CREATE EXTENSION dblink CASCADE",
            "CREATE EXTENSION dblink; ALTER ROLE app SUPERUSER",
            "DROP EXTENSION x CASCADE",
            "COMMENT ON EXTENSION x IS 'a'; SELECT f()",
            "CREATE EXTENSION x VERSION E'\\\\'",
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "/* CREATE EXTENSION x */ SELECT f()",
            "",
        ] {
            assert_eq!(Request::of(other), None, "{other}");
        }
    }
}
