//! Recognizes what people write out of habit from SQL, other databases or other schema languages, and says what to write here.

/// The kinds in whose nodes a word is expected; `""` is the top of a file, `*` is anywhere.
struct Habit {
    within: &'static [&'static str],
    words: &'static [&'static str],
    help: &'static str,
}

const TABLES: &[&str] = &["table", "foreign-table"];

const fn habit(within: &'static [&'static str], words: &'static [&'static str], help: &'static str) -> Habit {
    Habit { within, words, help }
}

/// Words in the form of `plain`.
static HABITS: &[Habit] = &[
    habit(&["*"], &["--", "#", ";", "rem"], "comments begin with `//`, or are enclosed in `/*` and `*/`"),
    habit(
        &[""],
        &["model", "entity", "class", "relation", "create-table"],
        "a table is `table NAME { column NAME TYPE }`",
    ),
    habit(
        &[""],
        &["create", "alter", "drop", "insert", "select", "update", "delete", "begin", "commit"],
        "this is SQL; an object is declared as it should be: `table NAME { column NAME TYPE }`",
    ),
    habit(
        &[""],
        &["include", "import", "require", "use", "source"],
        "all files of the folder are read: leave this out",
    ),
    habit(
        &[""],
        &["role", "user", "group"],
        "roles belong to the whole server; files only name them, in `owner`, `grant` and `policy`",
    ),
    habit(
        &[""],
        &["database", "datasource", "generator", "env", "connection", "tablespace"],
        "the database is named in `setpoint.kdl` or by DATABASE_URL",
    ),
    habit(&[""], &["composite", "composite-type"], "a composite type is `type NAME { attribute NAME TYPE }`"),
    habit(&[""], &["materialized", "matview"], "write `materialized-view NAME { sql \"…\" }`"),
    habit(&["", "schema"], &["enumeration", "enum-type"], "write `enum NAME VALUE …`"),
    habit(TABLES, &["schema"], "put the table into the schema: `schema NAME { table … }`"),
    habit(
        TABLES,
        &["constraint"],
        "write what it is: `check NAME \"CONDITION\"`, `unique COLUMN name=NAME`, `foreign-key`, `primary-key`",
    ),
    habit(
        TABLES,
        &["key", "keys", "index-key"],
        "write `primary-key COLUMN …`, `unique COLUMN …` or `index NAME COLUMN …`",
    ),
    habit(TABLES, &["primary", "pk", "@@id"], "write `primary-key COLUMN …`; a column is `column NAME TYPE`"),
    habit(
        TABLES,
        &["fk", "foreign", "relation", "reference", "references", "ref"],
        "write `foreign-key COLUMN { references TABLE COLUMN }`, or `references TABLE` in a column",
    ),
    habit(
        TABLES,
        &["unique-key", "unique-index", "@@unique"],
        "write `unique COLUMN …`, or `index NAME COLUMN … unique=#true`",
    ),
    habit(
        TABLES,
        &["columns", "fields", "field", "col", "attribute"],
        "each column is declared separately: `column NAME TYPE`",
    ),
    habit(
        TABLES,
        &["row-level-security", "rls", "enable-row-level-security"],
        "write `row-security` after the table's name",
    ),
    habit(
        TABLES,
        &["partition", "partitions"],
        "a partition is a separate table: `table NAME { partition-of PARENT \"FOR VALUES …\" }`",
    ),
    habit(TABLES, &["engine", "charset", "collate", "auto-increment"], "PostgreSQL has nothing like that on tables"),
    habit(
        &["column"],
        &["auto-increment", "autoincrement", "increment", "auto", "@default", "generated-always"],
        "write `identity=always`, or the type `bigserial`",
    ),
    habit(
        &["column"],
        &["nullable", "null", "optional", "allow-null", "is-null"],
        "a column may be NULL unless it says `not-null`: leave this out",
    ),
    habit(
        &["column"],
        &["not", "required", "mandatory", "notnull", "nonnull", "non-null"],
        "write `not-null`, as one word",
    ),
    habit(&["column"], &["pk", "primary", "key", "@id", "id"], "write `primary-key`"),
    habit(&["column"], &["@unique", "uniq", "unique-key"], "write `unique`"),
    habit(
        &["column"],
        &["fk", "foreign", "foreign-key", "ref", "refs", "relation", "@relation"],
        "write `references=TABLE`, or `{ references TABLE COLUMN }`",
    ),
    habit(
        &["column"],
        &["size", "length", "precision", "scale", "limit", "width"],
        "a length is part of the type: `column NAME \"varchar(20)\"`",
    ),
    habit(
        &["column"],
        &["with", "without", "time", "zone", "varying", "precision"],
        "a type of several words must be in quotes: `column NAME \"double precision\"`",
    ),
    habit(&["column"], &["charset", "character", "encoding"], "a database has one encoding: leave this out"),
    habit(&["column"], &["unsigned", "zerofill"], "PostgreSQL has no unsigned types: write `check \"NAME >= 0\"`"),
    habit(&["column"], &["array", "list"], "an array is a type: `column NAME \"text[]\"`"),
    habit(&["column"], &["on-update", "@updated-at", "updated-at"], "PostgreSQL has no such clause: use a trigger"),
    habit(&["column"], &["on-delete"], "it belongs to the reference: `{ references TABLE on-delete=… }`"),
    habit(&["column"], &["as", "computed", "expression"], "write `generated=\"EXPRESSION\"`"),
    habit(&["column"], &["enum"], "an enum is a separate type: `enum NAME VALUE …`, and `column NAME THAT_ENUM`"),
    habit(
        &["check"],
        &[">", "<", "=", ">=", "<=", "<>", "!=", "~", "in", "is", "and", "or", "not", "between", "like"],
        "the condition is one string in quotes: `check NAME \"a > 0\"`",
    ),
    habit(
        &["trigger"],
        &["execute", "execute-function", "execute-procedure", "procedure", "call", "calls", "run"],
        "write `function=NAME`",
    ),
    habit(
        &["trigger"],
        &["before", "after", "instead-of"],
        "write when it fires as words: `trigger NAME before update function=…`",
    ),
    habit(&["trigger"], &["on", "table"], "a trigger belongs in its table"),
    habit(&["index"], &["on", "table"], "an index belongs in its table"),
    habit(&["index"], &["type", "method"], "the method is `using=…`"),
    habit(
        &["index"],
        &["desc", "asc", "nulls-first", "nulls-last"],
        "write the part as a child: `key COLUMN order=desc nulls=last`",
    ),
    habit(&["index", "unique"], &["columns", "fields", "on"], "the columns come after the name: `index NAME COLUMN …`"),
    habit(
        &["foreign-key"],
        &["to", "on", "table", "target", "columns", "ref"],
        "write `foreign-key COLUMN { references TABLE COLUMN }`",
    ),
    habit(
        &["foreign-key"],
        &["delete", "update"],
        "write `on-delete=…` or `on-update=…` after `references TABLE COLUMN`",
    ),
    habit(&["function", "procedure"], &["as", "definition", "code", "sql"], "write `body \"\"\"` and the text"),
    habit(
        &["function", "procedure"],
        &["args", "argument", "arguments", "parameter", "param", "parameters"],
        "each argument is a child: `arg NAME TYPE`",
    ),
    habit(&["function"], &["return", "returns-type"], "write `returns=TYPE`"),
    habit(&["view", "materialized-view"], &["as", "query", "select", "definition", "body"], "write `sql \"SELECT …\"`"),
    habit(&["policy"], &["on", "table"], "a policy belongs in its table"),
    habit(&["policy"], &["check"], "write `with-check \"CONDITION\"`"),
    habit(&["grant"], &["on"], "a grant belongs in the object that it is on"),
];

/// What to write instead of a word in the node of a kind; `""` is the top of a file.
pub fn help(word: &str, within: &str) -> Option<&'static str> {
    let word = plain(word);
    let meant = |habit: &&Habit| {
        habit.words.contains(&word.as_str()) && (habit.within.contains(&within) || habit.within == ["*"])
    };
    HABITS.iter().find(meant).map(|habit| habit.help)
}

/// A word as the words of the language are written: `onDelete`, `ON_DELETE` and `on delete` are `on-delete`.
pub fn plain(word: &str) -> String {
    let mut out = String::with_capacity(word.len() + 2);
    let mut before_upper = false;
    for c in word.trim_end_matches(':').chars() {
        if c.is_uppercase() && before_upper {
            out.push('-');
        }
        before_upper = c.is_lowercase() || c.is_ascii_digit();
        match c {
            '_' | ' ' => out.push('-'),
            _ => out.extend(c.to_lowercase()),
        }
    }
    out
}

/// Types of other databases, and their equivalents in PostgreSQL.
const TYPES: &[(&str, &str)] = &[
    ("datetime", "timestamptz"),
    ("datetime2", "timestamptz"),
    ("datetimeoffset", "timestamptz"),
    ("smalldatetime", "timestamptz"),
    ("timestamp_ntz", "timestamp"),
    ("tinyint", "smallint"),
    ("mediumint", "integer"),
    ("number", "numeric"),
    ("double", "double precision"),
    ("string", "text"),
    ("str", "text"),
    ("nvarchar", "varchar"),
    ("varchar2", "varchar"),
    ("nvarchar2", "varchar"),
    ("tinytext", "text"),
    ("mediumtext", "text"),
    ("longtext", "text"),
    ("clob", "text"),
    ("ntext", "text"),
    ("blob", "bytea"),
    ("tinyblob", "bytea"),
    ("mediumblob", "bytea"),
    ("longblob", "bytea"),
    ("binary", "bytea"),
    ("varbinary", "bytea"),
    ("bytes", "bytea"),
    ("uniqueidentifier", "uuid"),
    ("guid", "uuid"),
    ("autoincrement", "bigserial"),
];

/// The type of PostgreSQL that people mean by one that it does not have.
pub fn type_meant(name: &str) -> Option<&'static str> {
    TYPES.iter().find(|(other, _)| *other == name).map(|(_, ours)| *ours)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Form;

    #[test]
    fn words_are_recognised_however_they_are_written() {
        for word in ["onDelete", "on_delete", "ON DELETE", "OnDelete:"] {
            assert_eq!(plain(word), "on-delete", "{word}");
        }
        assert_eq!(plain("AUTO_INCREMENT"), "auto-increment");
        assert!(help("AUTO_INCREMENT", "column").is_some() && help("AUTO_INCREMENT", "view").is_none());
        assert!(help("--", "view").is_some() && help("create", "").is_some());
    }

    #[test]
    fn habits_are_no_words_of_the_language() {
        for habit in HABITS {
            for within in habit.within {
                let Some(room) = crate::kinds::find(within) else { continue };
                for word in habit.words {
                    let attr = room.kind().attr(word).filter(|a| !matches!(a.form, Form::Custom | Form::Child));
                    assert!(attr.is_none(), "{word} is an attribute of {within}");
                }
            }
        }
    }
}
