//! A probe for one piece of text: a scratch object that holds it, and the query that reads it back.

use crate::catalog::Version;
use crate::kinds;
use crate::model::{Attrs, Expr, Key, ObjectId, SqlType, State, Text, Value};
use crate::sql;

use super::columns::Tables;
use super::partitions::{self, PartitionKey};

const TYPE: Key<SqlType> = Key::new("type");
const PARTITION_BY: Key<Expr> = Key::new("partition-by");
const PARTITION_OF: Key<Attrs> = Key::new("partition-of");
const PARENT: Key<ObjectId> = Key::new("parent");
const TIMING: Key<Text> = Key::new("timing");
const EVENTS: Key<Vec<Text>> = Key::new("events");
const EVENT: Key<Text> = Key::new("event");
const FOR_EACH: Key<Text> = Key::new("for-each");

const PROVIDER: Key<Text> = Key::new("provider");

/// One piece of text that differs.
pub struct Leaf {
    /// The object.
    pub id: ObjectId,
    /// Its attribute.
    pub attr: &'static str,
    /// The attribute that holds the text, inside of `attr` if that is made of records.
    pub name: &'static str,
    /// A type's name, no expression.
    pub is_type: bool,
    /// What the catalog holds.
    pub stored: Text,
    /// What the files say.
    pub written: Text,
}

/// What probes are made from.
pub struct Context<'a> {
    pub old: &'a State,
    pub new: &'a State,
    pub was: &'a Tables<'a>,
    pub is: &'a Tables<'a>,
    pub server: Version,
}

/// Statements that show a text to the server. Equal probes are asked once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Probe {
    /// The search path under which it is parsed.
    pub path: String,
    /// Ways to create what the text is about, best first; probes with the same ones share it. Empty: nothing is needed.
    pub setups: Vec<String>,
    /// The statements that create the scratch object.
    pub make: Vec<String>,
    /// Reads its text back: one row, one column.
    pub read: String,
}

/// The expressions in a partition key, which `walk` takes apart.
pub const KEY_PART: &str = "key-expression";

/// Why a text is not sent to the live server.
const EVALUATED: &str = "the server would evaluate it";

/// What a text in a routine may depend on.
const ROUTINE_HEAD: &[&str] = &["arg", "returns", "setof", "volatility", "sql-body"];

/// The scratch objects' own name.
pub const SCRATCH: &str = "pg_temp.setpoint_scratch";

/// The probe for a text at the place of a leaf; the reason if there is none. `renamed`: the text is from before columns got
/// their new names.
pub fn of(cx: &Context<'_>, leaf: &Leaf, text: &str, renamed: bool) -> Result<Probe, String> {
    let probe = |setups: Vec<String>, make: String, read: String| Probe {
        path: path(&leaf.id),
        setups,
        make: vec![make],
        read,
    };
    // Nothing in a text ends the place where it is.
    sql::balance::check(text)?;
    let parent = leaf.id.parent();
    let parent_word = parent.map_or("", |p| p.kind().word);
    const ABOUT_COLUMNS: &[&str] =
        &["check", "policy", "index", "exclude", "column", "statistics", "rule", "publication-table"];
    if renamed && (leaf.is_type || !ABOUT_COLUMNS.contains(&leaf.id.kind().word)) {
        return Err("columns play no part in it".into());
    }
    if leaf.is_type {
        // Columns and their like keep a type's modifiers, which need no parentheses: `interval day`. Pseudo-types cannot be columns.
        return Ok(if text.contains('(') || matches!(leaf.id.kind().word, "column" | "attribute" | "domain") {
            let make = format!("CREATE TEMPORARY TABLE {SCRATCH} (c {text})");
            let read = format!(
                "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = '{SCRATCH}'::regclass AND attnum = 1"
            );
            probe(vec![], make, read)
        } else {
            // The OID keeps what the path found, whatever is the path when it is printed.
            let make = format!("CREATE TEMPORARY TABLE {SCRATCH} AS SELECT {}::regtype AS t", sql::literal(text));
            probe(vec![], make, format!("SELECT format_type(t, NULL) FROM {SCRATCH}"))
        });
    }
    match (leaf.id.kind().word, leaf.name) {
        ("default", _) => {
            let column = parent.ok_or("it has no column")?;
            let table = column.parent().ok_or("it has no table")?;
            let sql_type =
                cx.new.get(column).and_then(|c| c.get(TYPE)).or_else(|| cx.old.get(column).and_then(|c| c.get(TYPE)));
            let read =
                format!("SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = '{SCRATCH}'::regclass");
            Ok(match sql_type {
                Some(t) => {
                    probe(vec![], format!("CREATE TEMPORARY TABLE {SCRATCH} (c {} DEFAULT ({text}))", t.as_str()), read)
                }
                None => {
                    let column = sql::name(column.name());
                    let make = vec![
                        format!("CREATE TEMPORARY TABLE {SCRATCH} (LIKE {})", sql::path(table)),
                        format!("ALTER TABLE {SCRATCH} ALTER {column} SET DEFAULT ({text})"),
                    ];
                    Probe { path: path(&leaf.id), setups: vec![], make, read }
                }
            })
        }
        ("check", _) if parent_word == "domain" => {
            let sql_type = domain_type(cx, parent)?;
            let make = format!("CREATE DOMAIN {SCRATCH} AS {sql_type} CHECK ({text})");
            let read =
                format!("SELECT pg_get_expr(conbin, 0) FROM pg_constraint WHERE contypid = '{SCRATCH}'::regtype");
            Ok(probe(vec![], make, read))
        }
        // The server brings an ICU locale into its canonical form.
        ("collation", "locale") => {
            let object = cx.new.get(&leaf.id).ok_or("it is not in the files")?;
            let provider = object.get(PROVIDER).map_or("libc", |p| p);
            let make = format!("CREATE COLLATION {SCRATCH} (provider = {provider}, locale = {})", sql::literal(text));
            let locale = match cx.server.major() {
                17.. => "coalesce(colllocale, collcollate)",
                15 | 16 => "coalesce(colliculocale, collcollate)",
                _ => "collcollate",
            };
            let read = format!(
                "SELECT {locale} FROM pg_collation WHERE collnamespace = pg_my_temp_schema() AND collname = 'setpoint_scratch'"
            );
            Ok(probe(vec![], make, read))
        }
        ("domain", "default") => {
            let sql_type = domain_type(cx, Some(&leaf.id))?;
            let make = format!("CREATE DOMAIN {SCRATCH} AS {sql_type} DEFAULT ({text})");
            Ok(probe(
                vec![],
                make,
                format!("SELECT pg_get_expr(typdefaultbin, 0) FROM pg_type WHERE oid = '{SCRATCH}'::regtype"),
            ))
        }
        ("rule", part) => rule(cx, leaf, text, part == "where", renamed),
        ("check" | "policy", _) | (_, "where") => on_table(cx, leaf, renamed, |table| {
            let make = vec![format!("CREATE POLICY setpoint_scratch ON {table} USING ({text})")];
            (
                make,
                format!(
                    "SELECT pg_get_expr(polqual, polrelid) FROM pg_policy WHERE polrelid = {}::regclass",
                    sql::literal(table)
                ),
            )
        }),
        ("index" | "exclude" | "statistics", "expression") | (_, KEY_PART) => on_table(cx, leaf, renamed, |table| {
            // A policy takes any expression, whatever operator classes there are for its type.
            let make = vec![format!("CREATE POLICY setpoint_scratch ON {table} USING (({text}) IS NOT NULL)")];
            let read = "SELECT regexp_replace(pg_get_expr(polqual, polrelid), '^\\((.*) IS NOT NULL\\)$', '\\1') FROM pg_policy";
            (make, format!("{read} WHERE polrelid = {}::regclass", sql::literal(table)))
        }),
        ("column", "generated") => generated(cx, leaf, text, renamed),
        ("trigger", "when") => {
            let trigger = cx.new.get(&leaf.id).ok_or("it is not in the files")?;
            let timing = trigger.get(TIMING).map_or("before", |t| t).replace('-', " ").to_uppercase();
            let events: Vec<String> =
                trigger.get(EVENTS).unwrap_or_default().iter().map(|e| e.to_uppercase()).collect();
            let each = trigger.get(FOR_EACH).map_or("statement", |e| e).to_uppercase();
            on_table(cx, leaf, renamed, |table| {
                let make = format!(
                    "CREATE TRIGGER setpoint_scratch {timing} {} ON {table} FOR EACH {each} WHEN ({text}) \
                     EXECUTE FUNCTION pg_catalog.suppress_redundant_updates_trigger()",
                    events.join(" OR ")
                );
                let make = vec![make];
                let read = "SELECT regexp_replace(pg_get_triggerdef(oid, false), '^.*? FOR EACH (ROW|STATEMENT) WHEN \\((.*)\\) EXECUTE FUNCTION .*$', '\\2') FROM pg_trigger";
                (make, format!("{read} WHERE tgrelid = {}::regclass", sql::literal(table)))
            })
        }
        (_, "sql") => {
            let make = format!(
                "CREATE TEMPORARY VIEW {SCRATCH} AS {}",
                text.trim_end_matches(|c: char| c == ';' || c.is_whitespace())
            );
            Ok(probe(vec![], make, format!("SELECT rtrim(btrim(pg_get_viewdef('{SCRATCH}'::regclass), E' \\n'), ';')")))
        }
        ("table", "partition-by") => {
            PartitionKey::parse(text).as_ref().and_then(PartitionKey::columns).ok_or(EVALUATED)?;
            let make = format!("CREATE TEMPORARY TABLE {SCRATCH} ({}) PARTITION BY {text}", cx.is.list(&leaf.id));
            Ok(probe(vec![], make, format!("SELECT pg_get_partkeydef('{SCRATCH}'::regclass)")))
        }
        ("table" | "foreign-table", "bound") => bound(cx, leaf, text),
        ("function" | "procedure", _) => routine(cx, leaf, text),
        (kind, _) => {
            Err(format!("there is no way to show the server this part of {} {kind}", kinds::scope::article(kind)))
        }
    }
}

/// An UPDATE in a rule is only parsed, and takes what it assigns to the column's type as a generated column does; making such a
/// column would evaluate its expression.
fn generated(cx: &Context<'_>, leaf: &Leaf, text: &str, renamed: bool) -> Result<Probe, String> {
    let sql_type = cx.new.get(&leaf.id).and_then(|c| c.get(TYPE)).ok_or("the column has no type of its own")?.as_str();
    let probe = on_table(cx, leaf, renamed, |table| {
        let target = format!("{SCRATCH}_target");
        let make = vec![
            format!("CREATE TEMPORARY TABLE {target} (LIKE {table}, setpoint_scratch {sql_type})"),
            format!(
                "CREATE RULE setpoint_scratch AS ON INSERT TO {target} DO INSTEAD UPDATE {target} AS {} \
                 SET setpoint_scratch = ({text})",
                table.trim_start_matches("pg_temp.")
            ),
        ];
        let read = format!(
            "SELECT btrim(rtrim(substr(d, strpos(d, ' SET setpoint_scratch =') + 23), ';'), E' \\n') FROM \
             (SELECT pg_get_ruledef(oid) AS d FROM pg_rewrite WHERE ev_class = '{target}'::regclass) s"
        );
        (make, read)
    })?;
    Ok(probe)
}

/// A bound is evaluated when its partition is made, and so is what brings its values to the types of the key.
fn bound(cx: &Context<'_>, leaf: &Leaf, text: &str) -> Result<Probe, String> {
    let record = cx.new.get(&leaf.id).and_then(|t| t.get(PARTITION_OF)).ok_or("it is not a partition in the files")?;
    let parent = record.get(PARENT).ok_or("its parent is not known")?;
    let key = cx.new.get(parent).and_then(|p| p.get(PARTITION_BY)).ok_or("its parent's key is not known")?.as_str();
    let parsed = PartitionKey::parse(key).ok_or(EVALUATED)?;
    let columns = parsed.columns().ok_or(EVALUATED)?;
    let types = cx.is.types(parent, &columns).ok_or("its key's columns are not known")?;
    let harmless = |sql_type: &&SqlType| {
        let built_in = sql::types::parse(sql_type.as_str()).is_ok_and(|parsed| partitions::is_built_in(&parsed));
        let named = |id: &ObjectId| id.kind().word == "enum" && sql::path(id) == sql_type.as_str();
        built_in || cx.new.iter().chain(cx.old.iter()).any(|(id, _)| named(id))
    };
    if !partitions::is_constant(text) || !types.iter().all(harmless) {
        return Err(EVALUATED.into());
    }
    let make = vec![
        format!("CREATE TEMPORARY TABLE {SCRATCH} ({}) PARTITION BY {key}", cx.is.list(parent)),
        format!("CREATE TEMPORARY TABLE {SCRATCH}_part PARTITION OF {SCRATCH} {text}"),
    ];
    let read = format!("SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE oid = '{SCRATCH}_part'::regclass");
    Ok(Probe { path: path(&leaf.id), setups: vec![], make, read })
}

/// A probe on a scratch table with the columns of the leaf's table, under that table's name, so that qualified columns mean it.
fn on_table(
    cx: &Context<'_>,
    leaf: &Leaf,
    renamed: bool,
    statements: impl Fn(&str) -> (Vec<String>, String),
) -> Result<Probe, String> {
    let object = cx.new.get(&leaf.id).or_else(|| cx.old.get(&leaf.id)).ok_or("it is in no state")?;
    let table = &match leaf.name {
        KEY_PART => leaf.id.clone(),
        _ => kinds::room(leaf.id.kind()).relation(&leaf.id, object).ok_or("it has no table")?,
    };
    let scratch = format!("pg_temp.{}", sql::name(table.name()));
    let (mut make, read) = statements(&scratch);
    let create = |columns: &str| format!("CREATE TEMPORARY TABLE {scratch} ({columns})");
    let setups = if matches!(table.kind().word, "view" | "materialized-view" | "foreign-table") {
        vec![format!("CREATE TEMPORARY TABLE {scratch} (LIKE {})", sql::path(table))]
    } else if renamed {
        let (list, renames) = cx.is.list_before_renames(table).ok_or("no column was renamed")?;
        for (from, to) in renames {
            make.push(format!("ALTER TABLE {scratch} RENAME COLUMN {} TO {}", sql::name(&from), sql::name(&to)));
        }
        vec![create(&list)]
    } else {
        // Where a type does not exist yet, the live columns have to do.
        let mut setups = vec![create(&cx.is.list(table)), create(&cx.was.list(table))];
        setups.dedup();
        setups
    };
    Ok(Probe { path: path(&leaf.id), setups, make, read })
}

/// A rule is cut out of its whole definition: `pg_get_expr` knows no OLD and NEW.
fn rule(cx: &Context<'_>, leaf: &Leaf, text: &str, condition: bool, renamed: bool) -> Result<Probe, String> {
    let event = cx.new.get(&leaf.id).and_then(|r| r.get(EVENT)).ok_or("it is not in the files")?.to_uppercase();
    on_table(cx, leaf, renamed, |table| {
        let (what, before, after) = match condition {
            true => (format!("WHERE {text}\nDO INSTEAD NOTHING"), "\n  WHERE", " DO INSTEAD NOTHING;"),
            false => (format!("DO INSTEAD ({text}\n)"), " DO INSTEAD", ";"),
        };
        let make = vec![format!("CREATE RULE setpoint_scratch AS ON {event} TO {table} {what}")];
        // Newer versions call the scratch table's schema by its alias.
        let read = format!(
            "SELECT substr(d, {}, length(d) - {}) FROM (SELECT {} AS d FROM pg_rewrite r \
             JOIN pg_class c ON c.oid = r.ev_class CROSS JOIN LATERAL (SELECT \
             CASE WHEN strpos(pg_get_ruledef(r.oid), ' TO pg_temp.') > 0 THEN 'pg_temp' ELSE nspname::text END AS nspname \
             FROM pg_namespace WHERE oid = c.relnamespace) n \
             WHERE r.ev_class = {}::regclass AND r.rulename = 'setpoint_scratch') s",
            before.len() + 1,
            before.len() + after.len(),
            kinds::query::RULE,
            sql::literal(table)
        );
        (make, read)
    })
}

/// A routine is shown as a whole, with the text in its place.
fn routine(cx: &Context<'_>, leaf: &Leaf, text: &str) -> Result<Probe, String> {
    let (mut object, stored) = match (cx.new.get(&leaf.id), cx.old.get(&leaf.id)) {
        (Some(new), Some(old)) => (new.clone(), old),
        _ => return Err("it is not in both states".into()),
    };
    for (name, value) in object.attrs.iter_mut().filter(|(name, _)| *name == leaf.attr) {
        if let Some(other) = stored.attrs.value(name) {
            put(value, other, leaf, text);
        }
    }
    let id = leaf.id.moved(Some(kinds::scope::schema_id("pg_temp")));
    // Only what the text may depend on: a language's own check may load a library, whatever the settings say.
    let mut head = Attrs::new();
    for (name, value) in object.attrs.iter().filter(|(name, _)| ROUTINE_HEAD.contains(name)) {
        head.put(name, value.clone());
    }
    object.attrs = head;
    if object.value("sql-body").is_none() {
        object.attrs.put("body", Value::Text("".into()));
    }
    let context = kinds::Context::new(cx.server, cx.new);
    let statements = kinds::room(id.kind()).create(&id, &object, &[], &context).map_err(|error| error.to_string())?;
    let make = statements.into_iter().map(|s| s.sql).collect();
    let body = if cx.server.at_least(14) { "coalesce(pg_get_function_sqlbody(p.oid), '')" } else { "''" };
    let read = format!(
        "SELECT {body} || array_to_string(ARRAY(SELECT pg_get_function_arg_default(p.oid, i) FROM generate_series(1, 2 * p.pronargs) i), '|') \
         FROM pg_proc p WHERE p.pronamespace = pg_my_temp_schema() AND p.proname = {}",
        sql::literal(id.name().as_str())
    );
    Ok(Probe { path: path(&leaf.id), setups: vec![], make, read })
}

/// Puts a text in place of the leaf, where the two states have the leaf's two texts.
fn put(value: &mut Value, stored: &Value, leaf: &Leaf, text: &str) {
    match (value, stored) {
        (Value::Expr(written), Value::Expr(stored)) if written.0 == leaf.written && stored.0 == leaf.stored => {
            *written = Expr::new(text);
        }
        (Value::List(a), Value::List(b)) => a.iter_mut().zip(b).for_each(|(a, b)| put(a, b, leaf, text)),
        (Value::Record(a), Value::Record(b)) => {
            for (name, value) in a.iter_mut() {
                if let Some(other) = b.value(name) {
                    put(value, other, leaf, text);
                }
            }
        }
        _ => {}
    }
}

fn domain_type<'a>(cx: &Context<'a>, domain: Option<&ObjectId>) -> Result<&'a str, String> {
    let sql_type = domain.and_then(|d| cx.new.get(d).or_else(|| cx.old.get(d))).and_then(|d| d.get(TYPE));
    Ok(sql_type.ok_or("the domain's type is not known")?.as_str())
}

/// The path under which people write: the object's own schema, then `public`; scratch objects hide nothing.
pub fn path(id: &ObjectId) -> String {
    match id.schema().filter(|schema| schema.name().as_str() != "public") {
        Some(schema) => format!("{}, public, pg_temp", sql::name(schema.name())),
        None => "public, pg_temp".into(),
    }
}

/// True if what the server printed is the stored text: the catalog's readers may trim it, and take off outer parentheses.
pub fn prints_alike(printed: &str, stored: &str) -> bool {
    bare(printed) == bare(stored)
}

fn bare(text: &str) -> &str {
    let text = text.trim();
    match text.strip_prefix('(').and_then(|t| t.strip_suffix(')')) {
        Some(inner) if sql::lex::is_balanced(inner) => bare(inner),
        _ => text,
    }
}

/// True if the text has the name as a word.
pub fn mentions(text: &str, name: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    let name = &*name.replace('"', "\"\"");
    text.match_indices(name).any(|(at, _)| {
        let before = text.get(..at).and_then(|t| t.chars().next_back());
        let after = text.get(at + name.len()..).and_then(|t| t.chars().next());
        !before.is_some_and(part) && !after.is_some_and(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outer_parentheses_and_space_do_not_count() {
        assert!(prints_alike("((a + b))", " (a + b) "));
        assert!(prints_alike("(a) + (b)", "((a) + (b))"));
        assert!(!prints_alike("(a) + (b)", "a) + (b"));
        assert!(!prints_alike("a", "b"));
    }

    #[test]
    fn a_name_is_a_whole_word() {
        assert!(mentions("lower(email) <> ''", "email"));
        assert!(!mentions("lower(emails) <> ''", "email"));
        assert!(mentions("(\"an \"\"odd\"\" one\" > 1)", "an \"odd\" one"));
    }
}
