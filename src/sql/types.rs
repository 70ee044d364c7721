//! Types as people write them and as PostgreSQL prints them: aliases resolved, modifiers and array bounds kept.

use crate::model::Text;

use super::quote::is_plain;

/// A type taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// The schema, if given.
    pub schema: Option<String>,
    /// The base name without quotes; built-in aliases folded (`int` is `integer`).
    pub name: String,
    /// `12,2` of `numeric(12,2)`, spaces removed.
    pub modifier: Option<String>,
    /// What follows the modifier: ` with time zone`.
    pub suffix: &'static str,
    /// `[]` once per dimension (PostgreSQL keeps only whether there is one).
    pub array: bool,
}

/// Built-in aliases and what `format_type` prints for them (src/backend/utils/adt/format_type.c, parser/gram.y).
const ALIASES: &[(&str, &str)] = &[
    ("int", "integer"),
    ("int4", "integer"),
    ("int8", "bigint"),
    ("int2", "smallint"),
    ("float8", "double precision"),
    ("float4", "real"),
    ("bool", "boolean"),
    ("varchar", "character varying"),
    ("char varying", "character varying"),
    ("char", "character"),
    ("nchar", "character"),
    ("national character", "character"),
    ("national char", "character"),
    ("national character varying", "character varying"),
    ("decimal", "numeric"),
    ("dec", "numeric"),
    ("varbit", "bit varying"),
    ("timestamptz", "timestamp with time zone"),
    ("timetz", "time with time zone"),
    ("timestamp without time zone", "timestamp"),
    ("time without time zone", "time"),
];

/// Built-in types that people name without a schema, and that win over a declared type of the same name.
const BUILT_IN: &[&str] = &[
    "bigint",
    "bit",
    "bit varying",
    "boolean",
    "box",
    "bytea",
    "character",
    "character varying",
    "cidr",
    "circle",
    "date",
    "double precision",
    "inet",
    "integer",
    "interval",
    "json",
    "jsonb",
    "jsonpath",
    "line",
    "lseg",
    "macaddr",
    "macaddr8",
    "money",
    "name",
    "numeric",
    "oid",
    "path",
    "point",
    "polygon",
    "real",
    "regclass",
    "regproc",
    "regtype",
    "smallint",
    "text",
    "time",
    "timestamp",
    "tsquery",
    "tsvector",
    "uuid",
    "xml",
    "xid",
    "record",
    "trigger",
    "void",
    "anyelement",
    "anyarray",
    "time with time zone",
    "timestamp with time zone",
    "bpchar",
    "event_trigger",
    "internal",
    "cstring",
    "int4range",
    "int8range",
    "numrange",
    "tsrange",
    "tstzrange",
    "daterange",
    "int4multirange",
    "int8multirange",
    "nummultirange",
    "tsmultirange",
    "tstzmultirange",
    "datemultirange",
];

/// The other types of `pg_catalog` (13 to 18), and aliases that are not types by themselves.
const IN_CATALOG: &str = " aclitem any anycompatible anycompatiblearray anycompatiblemultirange anycompatiblenonarray \
    anycompatiblerange anyenum anymultirange anynonarray anyrange char cid fdw_handler float gtsvector index_am_handler \
    int2vector language_handler oidvector refcursor regcollation regconfig regdictionary regnamespace regoper regoperator \
    regprocedure regrole table_am_handler tid timestamptz timetz tsm_handler txid_snapshot unknown varbit varchar xid8 ";

/// Types of extensions that many databases have.
const OF_EXTENSIONS: &str = " citext hstore ghstore ltree lquery ltxtquery cube seg geometry geography box2d box2df box3d raster \
    topogeometry vector halfvec sparsevec isbn isbn13 issn issn13 ismn ismn13 ean13 upc int1 int16 uint1 uint2 uint4 uint8 \
    uint16 semver bigm roaringbitmap hll intarray ip4 ip6 ip4r ip6r ipaddress iprange email uri ";

/// Types that PostgreSQL makes something else of: the type, and the column numbers itself.
const SERIAL: &[(&str, &str)] = &[
    ("smallserial", "smallint"),
    ("serial2", "smallint"),
    ("serial", "integer"),
    ("serial4", "integer"),
    ("bigserial", "bigint"),
    ("serial8", "bigint"),
];

/// The type that a column of a serial type gets.
pub fn serial(text: &str) -> Option<&'static str> {
    let name = text.trim().to_ascii_lowercase();
    SERIAL.iter().find(|(serial, _)| *serial == name).map(|(_, plain)| *plain)
}

/// False if no PostgreSQL has a type of that bare name by itself.
pub fn is_known(name: &str) -> bool {
    let word = format!(" {name} ");
    is_built_in(name)
        || ALIASES.iter().any(|(alias, _)| *alias == name)
        || IN_CATALOG.contains(&word)
        || OF_EXTENSIONS.contains(&word)
        || name.starts_with("pg_")
        || name.starts_with('_')
        || name.starts_with("interval ")
}

/// The names of types that people use: candidates for a misspelled one.
pub fn names() -> impl Iterator<Item = &'static str> {
    BUILT_IN.iter().copied().chain(ALIASES.iter().map(|(alias, _)| *alias)).chain(SERIAL.iter().map(|(name, _)| *name))
}

/// Takes a type apart.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn parse(text: &str) -> Result<Parsed, String> {
    let mut words: Vec<String> = Vec::new(); // each: a name part, lower-cased unless quoted
    let mut dotted = false;
    let mut quoted_last = false;
    let mut modifier = None;
    let mut array = false;
    let mut words_after = Vec::new();
    let mut rest = text.trim_start();
    if rest.is_empty() {
        return Err("it is empty".into());
    }
    let mut schema: Option<String> = None;
    while let Some(c) = rest.chars().next() {
        match c {
            '"' => {
                let mut name = String::new();
                let mut chars = rest[1..].char_indices().peekable();
                let mut end = None;
                while let Some((i, c)) = chars.next() {
                    if c == '"' {
                        if chars.peek().is_some_and(|(_, n)| *n == '"') {
                            chars.next();
                        } else {
                            end = Some(i + 2);
                            break;
                        }
                    }
                    name.push(c);
                }
                let end = end.ok_or("a quote is not closed")?;
                rest = &rest[end..];
                quoted_last = true;
                push_word(&mut words, &mut schema, &mut dotted, name)?;
            }
            '.' => {
                if words.len() != 1 || schema.is_some() {
                    return Err("a dot does not belong there".into());
                }
                schema = words.pop();
                dotted = true;
                quoted_last = false;
                rest = &rest[1..];
            }
            '(' => {
                let end = rest.find(')').ok_or("a parenthesis is not closed")?;
                modifier = Some(rest[1..end].chars().filter(|c| !c.is_whitespace()).collect::<String>());
                rest = &rest[end + 1..];
            }
            '[' => {
                let end = rest.find(']').ok_or("a bracket is not closed")?;
                if !rest[1..end].trim().chars().all(|c| c.is_ascii_digit()) {
                    return Err("an array bound is a number".into());
                }
                array = true;
                rest = &rest[end + 1..];
            }
            c if c.is_whitespace() => rest = rest.trim_start(),
            c if c.is_alphanumeric() || c == '_' || c == '$' || !c.is_ascii() => {
                let end = rest
                    .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$' || !c.is_ascii()))
                    .unwrap_or(rest.len());
                let word = rest[..end].to_ascii_lowercase(); // what a server in UTF-8 folds
                rest = &rest[end..];
                if word == "array" && !words.is_empty() {
                    array = true;
                } else if modifier.is_some() {
                    words_after.push(word);
                } else {
                    quoted_last = false;
                    push_word(&mut words, &mut schema, &mut dotted, word)?;
                }
            }
            other => return Err(format!("`{other}` does not belong there")),
        }
    }
    if words.is_empty() {
        return Err("it has no name".into());
    }
    let raw_quoted = quoted_last;
    let mut name = words.join(" ");
    let mut suffix = match words_after.join(" ").as_str() {
        "" | "without time zone" => "",
        "with time zone" => " with time zone",
        other => return Err(format!("`{other}` does not belong there")),
    };
    if schema.as_deref() == Some("pg_catalog") {
        schema = None;
    }
    if schema.is_none() && !raw_quoted {
        if name == "float" {
            let bits: u32 = modifier.take().and_then(|m| m.parse().ok()).unwrap_or(53);
            name = if bits <= 24 { "real".into() } else { "double precision".into() };
        }
        if let Some((_, full)) = ALIASES.iter().find(|(alias, _)| *alias == name) {
            name = (*full).to_string();
        }
        if (name == "character" || name == "bit") && modifier.is_none() {
            modifier = Some("1".into());
        }
        if let Some(base) = name.strip_suffix(" with time zone") {
            name = base.to_string();
            suffix = " with time zone";
        } else if name == "timestamp" || name == "time" {
            suffix = if suffix.is_empty() { " without time zone" } else { suffix };
        }
        if name == "numeric" {
            // numeric(12) is numeric(12,0) to the catalog.
            if let Some(m) = modifier.as_mut().filter(|m| !m.contains(',')) {
                m.push_str(",0");
            }
        }
    } else if schema.is_none() && name == "bpchar" {
        return Ok(Parsed { schema, name, modifier, suffix, array });
    }
    Ok(Parsed {
        schema: schema.or_else(|| (raw_quoted && name == "char").then(|| "pg_catalog".into())),
        name,
        modifier,
        suffix,
        array,
    })
}

fn push_word(
    words: &mut Vec<String>,
    schema: &mut Option<String>,
    dotted: &mut bool,
    word: String,
) -> Result<(), String> {
    if schema.is_some() && !*dotted {
        return Err("a qualified name is one word".into());
    }
    *dotted = false;
    words.push(word);
    Ok(())
}

impl Parsed {
    /// True if no extension and no file has a say in what its values are.
    pub fn is_built_in(&self) -> bool {
        self.schema.is_none() && (is_built_in(&self.name) || IN_CATALOG.contains(&format!(" {} ", self.name)))
            || self.schema.is_none() && self.name.starts_with("interval ")
            || self.schema.as_deref() == Some("pg_catalog")
    }

    /// The text that `format_type` prints; `home` finds the schema of a declared type by its bare name.
    pub fn normalised(&self, home: impl Fn(&str) -> Option<Text>) -> String {
        let mut out = String::new();
        match &self.schema {
            Some(schema) if schema == "pg_catalog" && self.name == "char" => out.push_str("\"char\""),
            Some(schema) => out.push_str(&format!("{}.{}", quoted(schema), quoted(&self.name))),
            None if is_built_in(&self.name) => out.push_str(&self.name),
            None => match home(&self.name) {
                Some(schema) => out.push_str(&format!("{}.{}", quoted(&schema), quoted(&self.name))),
                None if self.name.contains(' ') && self.name.starts_with("interval") => out.push_str(&self.name),
                None => out.push_str(&quoted(&self.name)),
            },
        }
        if let Some(modifier) = &self.modifier {
            out.push_str(&format!("({modifier})"));
        }
        out.push_str(self.suffix);
        if self.array {
            out.push_str("[]");
        }
        out
    }
}

/// True for the types of `pg_catalog` that are named without a schema.
pub fn is_built_in(name: &str) -> bool {
    BUILT_IN.contains(&name)
}

fn quoted(name: &str) -> String {
    if is_plain(name) { name.into() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// A stored type as files say it: `timestamptz`, `varchar(20)`, the own schema left out.
pub fn friendly(text: &str, own_schema: Option<&str>) -> String {
    let Ok(parsed) = parse(text) else { return text.to_string() };
    let array = if parsed.array { "[]" } else { "" };
    let modifier = parsed.modifier.as_ref().map_or_else(String::new, |m| format!("({m})"));
    match (&parsed.schema, parsed.name.as_str(), parsed.suffix) {
        (None, "timestamp", " with time zone") => format!("timestamptz{modifier}{array}"),
        (None, "timestamp", _) => format!("timestamp{modifier}{array}"),
        (None, "time", " with time zone") => format!("timetz{modifier}{array}"),
        (None, "time", _) => format!("time{modifier}{array}"),
        (None, "character varying", _) => format!("varchar{modifier}{array}"),
        (None, "character", _) => format!("char{modifier}{array}"),
        (Some(schema), name, _)
            if Some(schema.as_str()) == own_schema
                && !is_built_in(name)
                && !ALIASES.iter().any(|(a, _)| *a == name) =>
        {
            format!("{}{modifier}{array}", quoted(name))
        }
        _ => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(text: &str) -> String {
        parse(text).unwrap().normalised(|name| (name == "state").then(|| "public".into()))
    }

    #[test]
    fn aliases_fold() {
        for (written, stored) in [
            ("int", "integer"),
            ("INT8", "bigint"),
            ("varchar(20)", "character varying(20)"),
            ("varchar", "character varying"),
            ("timestamptz", "timestamp with time zone"),
            ("timestamptz(3)", "timestamp(3) with time zone"),
            ("timestamp (3) with time zone", "timestamp(3) with time zone"),
            ("timestamp", "timestamp without time zone"),
            ("time(2)", "time(2) without time zone"),
            ("numeric(12, 2)", "numeric(12,2)"),
            ("decimal(12)", "numeric(12,0)"),
            ("char", "character(1)"),
            ("\"char\"", "\"char\""),
            ("float(10)", "real"),
            ("text[]", "text[]"),
            ("int [3]", "integer[]"),
            ("state", "public.state"),
            ("public.state[]", "public.state[]"),
            ("\"Odd Type\"", "\"Odd Type\""),
            ("app.\"Odd\"", "app.\"Odd\""),
            ("citext", "citext"),
            ("double precision", "double precision"),
            ("pg_catalog.int4", "integer"),
            ("interval", "interval"),
            ("GrÖSSE", "\"grÖsse\""),
        ] {
            assert_eq!(normal(written), stored, "{written}");
            assert_eq!(normal(stored), stored, "{stored}");
        }
        assert!(parse("").is_err());
        assert!(parse("numeric(").is_err());
    }

    #[test]
    fn friendly_names_mean_the_same() {
        for stored in [
            "timestamp(3) with time zone",
            "character varying(20)[]",
            "public.state",
            "integer",
            "time without time zone",
        ] {
            assert_eq!(normal(&friendly(stored, Some("public"))), stored);
        }
        assert_eq!(friendly("public.state", Some("public")), "state");
        assert_eq!(friendly("public.state", Some("app")), "public.state");
    }
}
