//! The writer that quotes: every name and literal in a statement goes through here.

use std::fmt::{self, Display, Formatter, Write as _};

use crate::model::{Address, Ident, ObjectId};

use super::signature;

/// Words that PostgreSQL accepts as a name only in quotes in some position (src/include/parser/kwlist.h: all but unreserved).
const RESERVED: &[&str] = &[
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "authorization",
    "between",
    "bigint",
    "binary",
    "bit",
    "boolean",
    "both",
    "case",
    "cast",
    "char",
    "character",
    "check",
    "coalesce",
    "collate",
    "collation",
    "column",
    "concurrently",
    "constraint",
    "create",
    "cross",
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "dec",
    "decimal",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "exists",
    "extract",
    "false",
    "fetch",
    "float",
    "for",
    "foreign",
    "freeze",
    "from",
    "full",
    "grant",
    "greatest",
    "group",
    "grouping",
    "having",
    "ilike",
    "in",
    "initially",
    "inner",
    "inout",
    "int",
    "integer",
    "intersect",
    "interval",
    "into",
    "is",
    "isnull",
    "join",
    "json",
    "json_array",
    "json_arrayagg",
    "json_exists",
    "json_object",
    "json_objectagg",
    "json_query",
    "json_scalar",
    "json_serialize",
    "json_table",
    "json_value",
    "lateral",
    "leading",
    "least",
    "left",
    "like",
    "limit",
    "localtime",
    "localtimestamp",
    "merge_action",
    "national",
    "natural",
    "nchar",
    "none",
    "normalize",
    "not",
    "notnull",
    "null",
    "nullif",
    "numeric",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "out",
    "outer",
    "overlaps",
    "overlay",
    "placing",
    "position",
    "precision",
    "primary",
    "real",
    "references",
    "returning",
    "right",
    "row",
    "select",
    "session_user",
    "setof",
    "similar",
    "smallint",
    "some",
    "substring",
    "symmetric",
    "system_user",
    "table",
    "tablesample",
    "then",
    "time",
    "timestamp",
    "to",
    "trailing",
    "treat",
    "trim",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "values",
    "varchar",
    "variadic",
    "verbose",
    "when",
    "where",
    "window",
    "with",
    "xmlattributes",
    "xmlconcat",
    "xmlelement",
    "xmlexists",
    "xmlforest",
    "xmlnamespaces",
    "xmlparse",
    "xmlpi",
    "xmlroot",
    "xmlserialize",
    "xmltable",
];

struct Quoted<'a>(&'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if is_plain(self.0) {
            f.write_str(self.0)
        } else {
            f.write_char('"')?;
            for part in self.0.split_inclusive('"') {
                f.write_str(part)?;
                if part.ends_with('"') {
                    f.write_char('"')?;
                }
            }
            f.write_char('"')
        }
    }
}

/// True if the name means itself in SQL without quotes.
pub(super) fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        && !name.as_bytes()[0].is_ascii_digit()
        && RESERVED.binary_search(&name).is_err()
}

/// A name, quoted where PostgreSQL needs it.
pub fn name(ident: &Ident) -> impl Display {
    Quoted(ident.as_str()).to_string()
}

/// Names with commas between: `a, "B"`.
pub fn name_list<'a>(idents: impl IntoIterator<Item = &'a Ident>) -> String {
    idents.into_iter().map(|i| Quoted(i.as_str()).to_string()).collect::<Vec<_>>().join(", ")
}

/// A role in GRANT, REVOKE and POLICY: the pseudo-role `public` is a word, everything else a name.
pub fn role(ident: &Ident) -> String {
    if ident.as_str() == "public" { "PUBLIC".into() } else { Quoted(ident.as_str()).to_string() }
}

/// A string literal; backslashes mean themselves (`standard_conforming_strings` is pinned on).
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// `schema.name` of something in the schema of `id`.
pub fn schema_path(id: &ObjectId, own: &Ident) -> String {
    match id.schema() {
        Some(schema) => format!("{}.{}", Quoted(schema.name().as_str()), Quoted(own.as_str())),
        None => Quoted(own.as_str()).to_string(),
    }
}

/// How the object is named where its kind is clear: `public.orders`, `public.orders.total`, `public.f(integer)`, `citext`.
/// For what has a name only on its parent, the name alone.
pub fn path(id: &ObjectId) -> String {
    match id.kind().address {
        // It has no name but the types that it leads from and to.
        Address::Global if id.kind().sql == "CAST" => {
            format!("({})", signature::split(id.signature().map_or("", |s| s)).join(" AS "))
        }
        Address::Schema | Address::Global | Address::NamedOn | Address::Facet => Quoted(id.name().as_str()).to_string(),
        Address::Qualified | Address::Beside => schema_path(id, id.name()),
        Address::Routine => {
            let types = id.signature().map_or("", |s| s);
            // An aggregate without arguments counts rows.
            let types = if types.is_empty() && id.kind().sql == "AGGREGATE" { "*" } else { types };
            if id.kind().sql == "OPERATOR" {
                return format!("{}({types})", operator_path(id));
            }
            format!("{}({types})", schema_path(id, id.name()))
        }
        Address::PerMethod => {
            let method = id.signature().map_or("", |s| s);
            format!("{} USING {}", schema_path(id, id.name()), Quoted(method))
        }
        Address::MemberOf | Address::Part => match id.parent() {
            Some(parent) => format!("{}.{}", path(parent), Quoted(id.name().as_str())),
            None => Quoted(id.name().as_str()).to_string(),
        },
    }
}

/// `schema.===`: an operator's name is never quoted.
pub fn operator_path(id: &ObjectId) -> String {
    let name = id.name().as_str();
    id.schema().map_or_else(|| name.to_string(), |schema| format!("{}.{name}", Quoted(schema.name().as_str())))
}

/// How COMMENT, DROP, GRANT, ALTER … OWNER name the object: `TABLE public.orders`, `POLICY p ON public.orders`.
pub fn target(id: &ObjectId) -> String {
    let sql = id.kind().sql;
    match (id.kind().address, id.parent()) {
        (Address::NamedOn, Some(parent)) if parent.kind().word == "domain" => {
            format!("{sql} {} ON DOMAIN {}", Quoted(id.name().as_str()), path(parent))
        }
        (Address::NamedOn, Some(parent)) => format!("{sql} {} ON {}", Quoted(id.name().as_str()), path(parent)),
        _ => format!("{sql} {}", path(id)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_words_are_sorted() {
        assert!(RESERVED.is_sorted());
    }

    #[test]
    fn names_are_quoted_where_needed() {
        let quoted = |s: &str| name(&Ident::from(s)).to_string();
        assert_eq!(quoted("orders"), "orders");
        assert_eq!(quoted("Orders"), "\"Orders\"");
        assert_eq!(quoted("select"), "\"select\"");
        assert_eq!(quoted("a\"b"), "\"a\"\"b\"");
        assert_eq!(quoted("1st"), "\"1st\"");
        assert_eq!(quoted(""), "\"\"");
    }
}
