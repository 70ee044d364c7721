//! What grants, revocations and default privileges share: which privileges exist on which kinds of object, the statements that grant and
//! revoke them, and the query that compares the catalog's privileges with the built-in ones.

use crate::catalog::{Book, Row, Version};
use crate::kdl::{Node, Problem};
use crate::kinds::meant;
use crate::kinds::scope::{Scope, schema_id};
use crate::kinds::{Context, Statement, find, generic, target};
use crate::model::{Address, Ident, Key, Object, ObjectId, Text};
use crate::sql;

/// The privileges of a grant or revocation.
pub const PRIVILEGES: Key<Vec<Text>> = Key::new("privileges");

/// Instead of a list that has every right there is.
const ALL: &str = "all";

/// What privileges can be given on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    Relation,
    Column,
    Sequence,
    Routine,
    Type,
    Schema,
    Wrapper,
    Server,
    LargeObject,
}

/// The privilege among those of an object that older servers do not know, and the first major version that does.
pub fn since(object: &Object) -> Option<(u32, String)> {
    let maintain = object.get(PRIVILEGES).is_some_and(|list| list.into_iter().any(|word| **word == *"maintain"));
    maintain.then(|| (17, "privilege `maintain`".to_string()))
}

impl On {
    /// What an object of that kind is to GRANT; `None`: it has no privileges of its own.
    pub fn of(object: &ObjectId) -> Option<On> {
        Some(match object.kind().word {
            "table" | "view" | "materialized-view" | "foreign-table" => On::Relation,
            "column" => On::Column,
            "sequence" | "identity" => On::Sequence,
            "function" | "procedure" | "aggregate" => On::Routine,
            "enum" | "domain" | "type" | "range" => On::Type,
            "schema" => On::Schema,
            "foreign-data-wrapper" => On::Wrapper,
            "server" => On::Server,
            "default-privileges" => On::of_plural(default_scope(object)?.0)?,
            _ => return None,
        })
    }

    /// By the word of ALTER DEFAULT PRIVILEGES.
    pub fn of_plural(word: &str) -> Option<On> {
        PLURALS.iter().find(|(_, w, _)| *w == word).map(|(on, ..)| *on)
    }

    /// The privileges in the order in which they are shown.
    pub fn rights(self, server: Version) -> &'static [&'static str] {
        match self {
            On::Relation if server.at_least(17) => {
                &["select", "insert", "update", "delete", "truncate", "references", "trigger", "maintain"]
            }
            On::Relation => &["select", "insert", "update", "delete", "truncate", "references", "trigger"],
            On::Column => &["select", "insert", "update", "references"],
            On::Sequence => &["select", "update", "usage"],
            On::Routine => &["execute"],
            On::Type | On::Wrapper | On::Server => &["usage"],
            On::Schema => &["usage", "create"],
            On::LargeObject => &["select", "update"],
        }
    }

    /// What PUBLIC may do by default; `initial`: on schema `public`, which initdb treats differently.
    pub fn built_in(self, initial: bool, server: Version) -> &'static [&'static str] {
        match self {
            On::Routine => &["execute"],
            On::Type => &["usage"],
            On::Schema if initial && server.at_least(15) => &["usage"],
            On::Schema if initial => &["usage", "create"],
            _ => &[],
        }
    }

    const fn word(self) -> &'static str {
        match self {
            On::Relation | On::Column => "TABLE",
            On::Sequence => "SEQUENCE",
            On::Routine => "",
            On::Type => "TYPE",
            On::Schema => "SCHEMA",
            On::Wrapper => "FOREIGN DATA WRAPPER",
            On::Server => "FOREIGN SERVER",
            On::LargeObject => "LARGE OBJECT",
        }
    }
}

/// Kinds of objects in default privileges: what, the word, the letter in `pg_default_acl`.
pub const PLURALS: [(On, &str, char); 6] = [
    (On::Relation, "tables", 'r'),
    (On::Sequence, "sequences", 'S'),
    (On::Routine, "functions", 'f'),
    (On::Type, "types", 'T'),
    (On::Schema, "schemas", 'n'),
    (On::LargeObject, "large-objects", 'L'),
];

/// Default privileges are addressed by role and `tables in app`: the word, and the schema if there is one.
pub fn default_scope(id: &ObjectId) -> Option<(&str, Option<&str>)> {
    let text: &str = id.signature()?;
    Some(text.split_once(" in ").map_or((text, None), |(word, schema)| (word, Some(schema))))
}

/// True for schema `public`, whose privileges initdb sets.
pub fn is_initial(object: &ObjectId) -> bool {
    object.kind().address == Address::Schema && object.name().as_str() == "public"
}

/// Puts privileges into PostgreSQL's order, each once; all of them become `all`, unless there is only one.
pub fn normal(mut list: Vec<Text>, on: On, server: Version) -> Vec<Text> {
    let rights = on.rights(server);
    if list.iter().any(|p| &**p == ALL) || rights.iter().all(|r| list.iter().any(|p| &**p == *r)) {
        return match rights {
            [only] => vec![(*only).into()],
            _ => vec![ALL.into()],
        };
    }
    list.sort_by_key(|p| rights.iter().position(|r| *r == &**p).unwrap_or(rights.len()));
    list.dedup();
    list
}

/// The single privileges of a list that may say `all`.
pub fn expanded(list: &[Text], on: On, server: Version) -> Vec<Text> {
    if list.iter().any(|p| &**p == ALL) {
        on.rights(server).iter().map(|r| Text::from(*r)).collect()
    } else {
        list.to_vec()
    }
}

/// The privileges of `list` that are not in `other`, shortened to `all` where they are.
pub fn without(list: &[Text], other: &[Text], on: On, server: Version) -> Vec<Text> {
    let other = expanded(other, on, server);
    let left: Vec<Text> = expanded(list, on, server).into_iter().filter(|p| !other.contains(p)).collect();
    if left.is_empty() { left } else { normal(left, on, server) }
}

/// GRANT and REVOKE.
pub enum Verb {
    Grant,
    GrantWithOption,
    Revoke,
    RevokeOption,
}

/// The statement that grants or revokes privileges on `object`; none for no privileges.
pub fn statement(
    object: &ObjectId,
    verb: &Verb,
    rights: &[Text],
    grantee: &Ident,
    cx: &Context<'_>,
) -> Option<Statement> {
    let on = On::of(object).filter(|_| !rights.is_empty())?;
    let column = if on == On::Column { format!(" ({})", sql::name(object.name())) } else { String::new() };
    let list: Vec<String> = rights.iter().map(|r| format!("{}{column}", r.to_uppercase())).collect();
    let list = list.join(", ");
    let role = sql::role(grantee);
    let mut prefix = String::new();
    let on_what =
        if let Some((word, schema)) = default_scope(object).filter(|_| object.kind().word == "default-privileges") {
            let within = schema.map_or_else(String::new, |s| format!(" IN SCHEMA {}", sql::name(&Ident::from(s))));
            prefix = format!("ALTER DEFAULT PRIVILEGES FOR ROLE {}{within} ", sql::name(object.name()));
            word.replace('-', " ").to_uppercase()
        } else {
            match (on, object.parent()) {
                // GRANT knows aggregates as functions.
                (On::Routine, _) if object.kind().word == "aggregate" => {
                    let types = object.signature().map_or("", |s| s);
                    format!("FUNCTION {}({types})", sql::schema_path(object, object.name()))
                }
                (On::Routine, _) => sql::target(object),
                (On::Column, Some(table)) => format!("{} {}", on.word(), sql::path(table)),
                _ => format!("{} {}", on.word(), target::path(object, cx)),
            }
        };
    Some(Statement::new(match verb {
        Verb::Grant => format!("{prefix}GRANT {list} ON {on_what} TO {role}"),
        Verb::GrantWithOption => format!("{prefix}GRANT {list} ON {on_what} TO {role} WITH GRANT OPTION"),
        Verb::Revoke => format!("{prefix}REVOKE {list} ON {on_what} FROM {role}"),
        Verb::RevokeOption => format!("{prefix}REVOKE GRANT OPTION FOR {list} ON {on_what} FROM {role}"),
    }))
}

/// Reads the privileges of a node's arguments; wrong ones are problems.
pub fn parse_rights(node: &Node, on: On, scope: &mut Scope<'_>) -> Vec<Text> {
    let known = on.rights(Version(u32::MAX));
    let mut out = Vec::new();
    if node.args.is_empty() {
        scope.problem(
            Problem::new(node.name_span, format!("`{}` names no privilege", node.name))
                .help(format!("one of all, {}", known.join(", "))),
        );
    }
    for arg in &node.args {
        let word = arg.as_text().map_or("", |t| t);
        if word == ALL || known.contains(&word) {
            out.push(word.into());
        } else {
            let mut problem = Problem::new(arg.span, format!("there is no privilege `{word}` here"))
                .label(format!("one of all, {}", known.join(", ")));
            if let Some(near) = meant::nearest(word, known.iter().copied()) {
                problem = problem.help(format!("did you mean `{near}`?"));
            }
            scope.problem(problem);
        }
    }
    if out.is_empty() { out } else { normal(out, on, Version(u32::MAX)) }
}

/// Reads whom the privileges are for (`to=`, `from=`) and on what: the object in whose node this one stands. `others` may appear beside it.
pub fn parse_address(node: &Node, prop: &str, others: &[&str], scope: &mut Scope<'_>) -> Option<(ObjectId, On, Ident)> {
    let parent = scope.parent.clone()?;
    let Some(on) = On::of(&parent) else {
        let message = format!(
            "there are no privileges on {} {}",
            crate::kinds::scope::article(parent.kind().word),
            parent.kind().word
        );
        scope.problem(Problem::new(node.name_span, message).label("not allowed here"));
        return None;
    };
    for other in node.props.iter().filter(|p| &*p.name != prop && !others.contains(&&*p.name)) {
        scope.problem(
            Problem::new(other.name_span, format!("`{}` has no property `{}`", node.name, other.name)).label("unknown"),
        );
    }
    match node.get_prop(prop) {
        Some(arg) => Some((parent, on, generic::name_of(arg, scope)?)),
        None => {
            let message = format!("`{}` does not name a role", node.name);
            scope.problem(
                Problem::new(node.name_span, message)
                    .help(format!("write `{prop}=ROLE`, or `{prop}=public` for everyone")),
            );
            None
        }
    }
}

/// A list of privileges in `query`. A long one is stored compressed, and aclexplode() would decompress it again for each of its rows
/// (src/backend/utils/adt/acl.c).
const ACL: &str = "r.acl OPERATOR(pg_catalog.||) '{}'::aclitem[]";

/// What an object has without anybody's doing: what PostgreSQL gives, or what the script of its extension gave.
const BASE: &str = "coalesce(r.init, r.base)";

/// The rights that an extension's script left on the object of a class.
fn init(class: u32, oid: &str) -> String {
    format!(
        "(SELECT i.initprivs FROM pg_init_privs i WHERE i.objoid = {oid} AND i.classoid = {class} AND i.objsubid = 0 AND i.privtype = 'e')"
    )
}

/// The objects of extensions whose rights are not those with which PostgreSQL makes an object: class, OID, kind, schema, name and types.
pub const GUESTS: &str = "SELECT 1255::oid, p.oid, CASE p.prokind WHEN 'a' THEN 'aggregate' WHEN 'p' THEN 'procedure' ELSE 'function' END, \
     n.nspname, p.proname, (SELECT coalesce(string_agg(format_type(u.t, NULL), ', ' ORDER BY u.i), '') \
         FROM unnest(p.proargtypes) WITH ORDINALITY u(t, i)) \
     FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid JOIN pg_namespace n ON n.oid = p.pronamespace \
     WHERE d.refclassid = 3079 AND d.deptype = 'e' AND d.classid = 1255 AND p.oid >= 16384 AND p.proacl IS NOT NULL \
     UNION ALL SELECT 1259, c.oid, CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized-view' WHEN 'f' THEN 'foreign-table' \
         WHEN 'S' THEN 'sequence' ELSE 'table' END, n.nspname, c.relname, NULL \
     FROM pg_depend d JOIN pg_class c ON c.oid = d.objid JOIN pg_namespace n ON n.oid = c.relnamespace \
     WHERE d.refclassid = 3079 AND d.deptype = 'e' AND d.classid = 1259 AND c.oid >= 16384 AND c.relacl IS NOT NULL AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') \
     UNION ALL SELECT 2615, n.oid, 'schema', NULL, n.nspname, NULL \
     FROM pg_depend d JOIN pg_namespace n ON n.oid = d.objid \
     WHERE d.refclassid = 3079 AND d.deptype = 'e' AND d.classid = 2615 AND n.oid >= 16384 AND n.nspacl IS NOT NULL";

/// Notes a row of `GUESTS`.
pub fn note_guest(row: &mut Row, book: &mut Book) {
    let (class, oid, word) = (row.oid(), row.oid(), row.text());
    let (schema, name, types) = (row.text_opt(), row.text(), row.text_opt());
    let Some(room) = find(&word) else { return };
    let schema = schema.map(schema_id);
    let id = match types {
        Some(types) => ObjectId::routine(room.kind(), schema, name, types),
        None => ObjectId::new(room.kind(), schema, name),
    };
    book.add_guest(class, oid, id);
}

/// One row per object, grantee and grantor (NULL: the owner): with `missing`, the built-in privileges that were taken away, else the
/// privileges that were given.
pub fn query(server: Version, missing: bool) -> String {
    let public = if server.at_least(15) { "" } else { ", makeaclitem(0, nspowner, 'CREATE', false)" };
    // A built-in right that was given again with the grant option is more than the built-in one. Only owners give built-in rights, to
    // themselves and to PUBLIC: for all others there is nothing to look for.
    let (list, other, option, beyond) = if missing {
        (BASE, ACL, "", "")
    } else {
        (
            ACL,
            BASE,
            " AND b.is_grantable >= a.is_grantable",
            "r.init IS NULL AND (a.grantor <> r.owner OR a.grantee <> r.owner AND a.grantee <> 0) OR ",
        )
    };
    // No role has built-in privileges on a column, so none can be missing.
    let columns = if missing {
        ""
    } else {
        "UNION ALL SELECT 1259, attrelid, attnum::int4, attacl, NULL, (SELECT relowner FROM pg_class c WHERE c.oid = attrelid), NULL FROM pg_attribute \
         WHERE attacl IS NOT NULL AND attrelid >= 16384 AND attnum > 0 AND NOT attisdropped "
    };
    let (relations, routines, schemas) =
        (init(1259, "pg_class.oid"), init(1255, "pg_proc.oid"), init(2615, "pg_namespace.oid"));
    format!(
        "WITH rights (class, oid, sub, acl, base, owner, init) AS ( \
         SELECT 1259::oid, oid, 0, relacl, acldefault(CASE relkind WHEN 'S' THEN 's'::\"char\" ELSE 'r' END, relowner), relowner, {relations} FROM pg_class \
             WHERE relacl IS NOT NULL AND oid >= 16384 AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S') \
         {columns}\
         UNION ALL SELECT 1255, oid, 0, proacl, acldefault('f', proowner), proowner, {routines} FROM pg_proc WHERE proacl IS NOT NULL AND oid >= 16384 \
         UNION ALL SELECT 1247, oid, 0, typacl, acldefault('T', typowner), typowner, NULL FROM pg_type WHERE typacl IS NOT NULL AND oid >= 16384 AND typrelid = 0 AND typtype <> 'm' \
             OR typacl IS NOT NULL AND EXISTS (SELECT FROM pg_class c WHERE c.oid = typrelid AND c.relkind = 'c') \
         UNION ALL SELECT 2615, oid, 0, coalesce(nspacl, acldefault('n', nspowner)), CASE WHEN nspname <> 'public' THEN acldefault('n', nspowner) \
             ELSE acldefault('n', nspowner) || ARRAY[makeaclitem(0, nspowner, 'USAGE', false){public}] END, nspowner, {schemas} FROM pg_namespace \
             WHERE nspacl IS NOT NULL AND oid >= 16384 OR nspname = 'public' \
         UNION ALL SELECT 2328, oid, 0, fdwacl, acldefault('F', fdwowner), fdwowner, NULL FROM pg_foreign_data_wrapper WHERE fdwacl IS NOT NULL AND oid >= 16384 \
         UNION ALL SELECT 1417, oid, 0, srvacl, acldefault('S', srvowner), srvowner, NULL FROM pg_foreign_server WHERE srvacl IS NOT NULL \
         UNION ALL SELECT 826, oid, 0, defaclacl, CASE WHEN defaclnamespace <> 0 THEN NULL \
             ELSE acldefault(CASE defaclobjtype WHEN 'S' THEN 's' ELSE defaclobjtype END, defaclrole) END, defaclrole, NULL FROM pg_default_acl \
         ) SELECT r.class, r.oid, r.sub, CASE a.grantee WHEN 0 THEN 'public' ELSE pg_get_userbyid(a.grantee)::text END, \
         CASE WHEN a.grantor <> r.owner THEN pg_get_userbyid(a.grantor)::text END, \
         array_agg(lower(a.privilege_type)), \
         array_agg(lower(a.privilege_type)) FILTER (WHERE a.is_grantable) \
         FROM rights r, aclexplode({list}) a \
         WHERE {beyond}NOT EXISTS (SELECT FROM aclexplode({other}) b WHERE b.grantor = a.grantor AND b.grantee = a.grantee AND b.privilege_type = a.privilege_type{option}) \
         GROUP BY r.class, r.oid, r.sub, r.owner, a.grantee, a.grantor ORDER BY r.class, r.oid, r.sub, 4, 5"
    )
}

/// The object whose owner owns this one: an identity's sequence is its table's.
pub fn owned_with(object: &ObjectId) -> &ObjectId {
    if object.kind().word == "identity" { object.root() } else { object }
}

/// True if the grantee owns the object, if the state names the owner.
pub fn is_owner(object: &ObjectId, grantee: &Ident, cx: &Context<'_>) -> bool {
    let facet = find("owner").map(|room| ObjectId::facet(room.kind(), owned_with(object).clone()));
    let said = facet.and_then(|id| cx.state.get(&id)).and_then(|owner| owner.get(OWNER));
    said.as_ref().or(cx.creator) == Some(grantee)
}

const OWNER: Key<Ident> = Key::new("role");

/// The object, the grantee and, if it is not the owner, the grantor of a row of `query`.
pub fn address(row: &mut Row, book: &Book) -> Option<(ObjectId, Ident, Option<Text>)> {
    let (class, oid, sub, grantee, grantor) = (row.oid(), row.oid(), row.next::<i32>(), row.text(), row.text_opt());
    let object = book.object(class, oid, sub).or_else(|| book.guest(class, oid).filter(|_| sub == 0))?;
    On::of(object)?;
    Some((object.clone(), Ident::new(grantee), grantor))
}

/// The next column of a row of `query`: privileges, in order; empty if there are none.
pub fn rights(row: &mut Row, on: On, server: Version) -> Vec<Text> {
    let list: Vec<String> = row.next();
    if list.is_empty() { vec![] } else { normal(list.into_iter().map(Text::from).collect(), on, server) }
}
