//! Whatever settings a role or a database has: a journey with rows ends as it does without them.

use std::collections::BTreeMap;

use crate::support::{Outcome, Sandbox, TestDb, files};

/// Odd but valid values of settings that take texts. A text that is not here is left as it is.
const TEXTS: &[(&str, &[&str])] = &[
    ("DateStyle", &["German", "SQL, DMY", "Postgres, MDY"]),
    ("TimeZone", &["Asia/Kathmandu", "America/St_Johns", "<x>+3:30"]),
    ("application_name", &["setpoint plan"]),
    ("client_encoding", &["LATIN1", "SJIS", "SQL_ASCII"]),
    ("createrole_self_grant", &["set, inherit"]),
    ("default_table_access_method", &["heap"]),
    ("default_tablespace", &["pg_default", "nowhere"]),
    ("default_text_search_config", &["pg_catalog.german", "pg_catalog.simple"]),
    ("lc_messages", &["C"]),
    ("lc_monetary", &["C.UTF-8"]),
    ("lc_numeric", &["C.UTF-8"]),
    ("lc_time", &["C.UTF-8"]),
    ("restrict_nonsystem_relation_kind", &["view", "foreign-table, view"]),
    ("session_authorization", &["pg_monitor"]),
    ("temp_tablespaces", &["pg_default", "nowhere"]),
    ("timezone_abbreviations", &["India", "Australia"]),
    ("wal_consistency_checking", &["all"]),
];

/// Those of lists: their values are not quoted as one.
const LISTS: &[(&str, &[&str])] = &[
    ("search_path", &["public, pg_catalog", "elsewhere, \"$user\"", "pg_temp, public"]),
    ("local_preload_libraries", &["missing"]),
];

/// What a database has that nobody may write to by default. That is meant, and not overridden: see `read_only_is_meant`.
const MEANT: &[&str] = &["default_transaction_read_only", "transaction_read_only"];

/// What keeps the server itself from running anything at all; only a superuser can set these.
const BREAKS_SERVERS: &[&str] = &["session_preload_libraries"];

type Values = BTreeMap<String, Vec<String>>;

/// Each setting that a role or a database can have, with its odd values.
fn settings(db: &TestDb) -> Values {
    let rows = db.query(
        "SELECT name, vartype, boot_val, min_val, max_val, array_to_string(enumvals, ' ') FROM pg_catalog.pg_settings \
         WHERE context IN ('user', 'superuser', 'backend', 'superuser-backend') ORDER BY name",
    );
    let mut all = Values::from([("role".to_owned(), vec!["pg_monitor".to_owned()])]);
    for row in rows {
        let fields: Vec<&str> = row.split('|').collect();
        let [name, kind, boot, min, max, words] = fields.as_slice() else { panic!("six columns: {row}") };
        let texts = |list: &[(&str, &[&str])]| {
            list.iter()
                .find(|(text, _)| text == name)
                .map(|(_, values)| values.iter().map(|value| (*value).to_owned()))
                .map(Iterator::collect::<Vec<_>>)
        };
        let mut values: Vec<String> = match *kind {
            "bool" => vec![if *boot == "on" { "off" } else { "on" }.to_owned()],
            "enum" => words.split(' ').filter(|word| word != boot).map(str::to_owned).collect(),
            "integer" | "real" => {
                [min, max].into_iter().filter(|value| *value != boot).map(|value| (*value).to_owned()).collect()
            }
            _ => texts(TEXTS).or_else(|| texts(LISTS)).unwrap_or_default(),
        };
        values.retain(|value| !value.is_empty());
        if !values.is_empty() && !MEANT.contains(name) && !BREAKS_SERVERS.contains(name) {
            all.insert((*name).to_owned(), values);
        }
    }
    all
}

/// A database, and a role of its own that connects to it.
struct Scene {
    db: TestDb,
    sandbox: Sandbox,
    role: String,
}

impl Scene {
    fn new(superuser: bool) -> Self {
        let db = TestDb::new();
        let (database, role) =
            (db.connect.database().to_owned(), format!("settings_{}_{}", std::process::id(), db.connect.database()));
        let kind = if superuser { "SUPERUSER" } else { "NOSUPERUSER" };
        db.execute(&format!(
            "CREATE ROLE {role} LOGIN {kind}; ALTER DATABASE {database} OWNER TO {role}; GRANT ALL ON SCHEMA public TO {role}; \
             SET SESSION AUTHORIZATION {role}; CREATE SCHEMA elsewhere; \
             CREATE TABLE t (a int PRIMARY KEY, d timestamptz DEFAULT '2020-01-01 10:00+00', r float8 DEFAULT 0.1, b bytea DEFAULT '\\x00ff', \
             s text, CHECK (a > 0 AND s <> E'\\\\ä')); INSERT INTO t (a, s) VALUES (1, 'ä'), (2, NULL); \
             CREATE TABLE parts (a int, b timestamptz) PARTITION BY RANGE (b); \
             CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2020-01-01 00:00+00') TO ('2021-01-01 00:00+00'); \
             INSERT INTO parts VALUES (1, '2020-06-01 12:00+00'); \
             CREATE VIEW v AS SELECT a, '1 day 2 hours'::interval AS i FROM t WHERE d < '2030-05-06'::timestamptz; \
             CREATE FUNCTION f(a int DEFAULT 1) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN a; END'"
        ));
        let mut sandbox = Sandbox::new(&db);
        sandbox.set("DATABASE_URL", &db.url().replacen(&format!("//{}@", db.connect.user()), &format!("//{role}@"), 1));
        sandbox.set("XDG_CACHE_HOME", &sandbox.path("cache").display().to_string());
        Self { db, sandbox, role }
    }

    /// Sets them; gives how many this server takes there.
    fn set(&self, settings: &[Setting]) -> usize {
        let statements = settings.iter().filter_map(|Setting { name, value, of_the_role }| {
            // The role that a role chose for itself is its own word, and stays.
            let whose = match of_the_role {
                true if name == "role" => return None,
                true => format!("ROLE {}", self.role),
                false => format!("DATABASE {}", self.db.connect.database()),
            };
            let list = LISTS.iter().any(|(list, _)| list == name);
            let value = if list { value.clone() } else { format!("'{}'", value.replace('\'', "''")) };
            Some(format!("$$ALTER {whose} SET \"{name}\" = {value}$$"))
        });
        let statements: Vec<String> = statements.collect();
        self.db.execute(&format!(
            "CREATE TEMPORARY TABLE refused (sql text); DO $do$ DECLARE s text; BEGIN FOREACH s IN ARRAY ARRAY[{}]::text[] LOOP \
             BEGIN EXECUTE s; EXCEPTION WHEN OTHERS THEN NULL; END; END LOOP; END $do$",
            statements.join(", ")
        ));
        let count = format!(
            "SELECT coalesce(sum(cardinality(setconfig)), 0) FROM pg_db_role_setting s LEFT JOIN pg_database d ON d.oid = setdatabase \
             LEFT JOIN pg_roles r ON r.oid = setrole WHERE datname = '{}' OR rolname = '{}'",
            self.db.connect.database(),
            self.role
        );
        self.db.value(&count).parse().expect("a number")
    }

    fn run(&self, arguments: &[&str]) -> Result<String, String> {
        let Outcome { code, stdout, stderr } = self.sandbox.run(arguments);
        if code == 0 { Ok(stdout) } else { Err(format!("{arguments:?}: {code}\n{stdout}\n{stderr}")) }
    }

    /// Baseline, a plan, there and back: what the files, the plan and the database hold at each place.
    fn journey(&self) -> Result<Vec<String>, String> {
        let mut held = Vec::new();
        self.run(&["baseline", "--auto-approve"])?;
        held.extend(
            files(&self.sandbox.path("schema"), ".kdl")
                .iter()
                .map(|file| std::fs::read_to_string(file).expect("a file")),
        );
        self.sandbox.write(
            "schema/more.kdl",
            "table more {\n    column a int generated=\"1 + 1\"\n    column b text default=\"lower('X')\"\n    \
             column c timestamptz default=\"'2021-02-03 04:05+00'\"\n    check c \"b IN ('x', 'y')\"\n}\n",
        );
        self.run(&["plan", "--save", "more"])?;
        held.push(self.run(&["show", "2", "--sql"])?);
        self.run(&["apply", "--auto-approve", "--allow", "all"])?;
        held.push(self.state());
        self.run(&["plan", "--exit-code"])?;
        self.run(&["drift"])?;
        self.run(&["rollback", "-1", "--auto-approve", "--allow", "all"])?;
        held.push(self.state());
        self.run(&["status"])?;
        Ok(held.into_iter().map(|text| text.replace(&self.role, "ROLE")).collect())
    }

    /// The rows, and what the catalog says.
    fn state(&self) -> String {
        let sql = "SELECT a, d AT TIME ZONE 'UTC', r, encode(b, 'hex'), s FROM t ORDER BY a; SELECT a, b AT TIME ZONE 'UTC' FROM parts_1; \
             SELECT c.relname, a.attname, pg_get_expr(d.adbin, d.adrelid) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid \
             LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum \
             WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0 ORDER BY 1, a.attnum; \
             SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1; \
             SELECT pg_get_viewdef('v'::regclass)";
        // Without the settings of the database: the session pins what matters to these, and reads as the server's superuser.
        self.db.query(sql).join("\n")
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let (role, database) = (&self.role, self.db.connect.database());
        let dropped = self.db.try_execute(&format!(
            "BEGIN READ WRITE; ALTER DATABASE {database} RESET ALL; ALTER DATABASE {database} OWNER TO CURRENT_USER; \
             DROP OWNED BY {role} CASCADE; DROP ROLE {role}; COMMIT"
        ));
        assert!(dropped.is_ok() || std::thread::panicking(), "{dropped:?}");
    }
}

/// A setting as a role or a database has it.
#[derive(Debug, Clone, PartialEq)]
struct Setting {
    name: String,
    value: String,
    of_the_role: bool,
}

fn end(superuser: bool, settings: &[Setting]) -> (usize, Result<Vec<String>, String>) {
    let scene = Scene::new(superuser);
    let taken = scene.set(settings);
    (taken, scene.journey())
}

/// The smallest part of the settings that still makes a difference.
fn smallest(superuser: bool, settings: &[Setting], expected: &[String]) -> String {
    // It takes its time.
    eprintln!("superuser: {superuser}: {:#?}\nlooking for the setting", end(superuser, settings).1.err());
    let mut suspects = settings.to_vec();
    let differs = |some: &[Setting]| end(superuser, some).1.as_deref() != Ok(expected);
    let mut size = suspects.len() / 2;
    while size > 0 {
        let parts: Vec<Vec<Setting>> = suspects.chunks(size).map(<[_]>::to_vec).collect();
        match parts.into_iter().find(|part| part.len() < suspects.len() && differs(part)) {
            Some(part) => (suspects, size) = (part.clone(), part.len() / 2),
            None => break,
        }
    }
    format!("superuser: {superuser}, with {suspects:?}: {:#?}", end(superuser, &suspects).1)
}

/// How many journeys each of the two users makes. A setting with more values has the first, the last, and some between them: these are
/// levels of logging, one beside the other.
const JOURNEYS: usize = 3;

/// What of a setting's values the journey takes.
fn value(values: &[String], journey: usize) -> &String {
    let at = match values.len() {
        few @ 0..=JOURNEYS => journey % few,
        many => journey * (many - 1) / (JOURNEYS - 1),
    };
    &values[at]
}

#[test]
fn what_others_set_makes_no_difference() {
    let all = settings(&TestDb::new());
    let found: Vec<(usize, Option<String>)> = std::thread::scope(|scope| {
        let users: Vec<_> = [true, false]
            .map(|superuser| {
                let all = &all;
                scope.spawn(move || {
                    let expected = end(superuser, &[]).1.expect("it goes well");
                    let mut found = Vec::new();
                    for journey in 0..JOURNEYS {
                        // Half of them are the role's, the others the database's; in the next journey it is the other way around.
                        let batch: Vec<Setting> = all
                            .iter()
                            .enumerate()
                            .map(|(at, (name, values))| Setting {
                                name: name.clone(),
                                value: value(values, journey).clone(),
                                of_the_role: (at + journey) % 2 == usize::from(superuser),
                            })
                            .collect();
                        let (taken, said) = end(superuser, &batch);
                        let odd = said.as_ref() != Ok(&expected);
                        found.push((taken, odd.then(|| smallest(superuser, &batch, &expected))));
                    }
                    found
                })
            })
            .into_iter()
            .collect();
        users.into_iter().flat_map(|journey| journey.join().expect("a journey")).collect()
    });
    let odd: Vec<&String> = found.iter().filter_map(|(_, odd)| odd.as_ref()).collect();
    assert!(odd.is_empty(), "{}", odd.iter().map(|text| text.as_str()).collect::<Vec<_>>().join("\n\n"));
    let least = found.iter().map(|(taken, _)| *taken).min().unwrap_or_default();
    assert!(least > 120, "only {least} of {} settings could be set", all.len());
}

/// Somebody made the database read-only: that is their word, so nothing is written, and the error says how.
#[test]
fn read_only_is_meant() {
    for of_the_role in [true, false] {
        let scene = Scene::new(false);
        scene.set(&[Setting { name: "default_transaction_read_only".into(), value: "on".into(), of_the_role }]);
        scene.sandbox.ok(&["plan"]);
        scene.sandbox.ok(&["status"]);
        let outcome = scene.sandbox.run(&["baseline", "--auto-approve"]);
        assert!(
            outcome.code != 0 && outcome.stderr.contains("read-only") && outcome.stderr.contains("help: "),
            "{outcome:?}"
        );
        assert_eq!(scene.db.value("SELECT to_regnamespace('setpoint') IS NULL"), "t");
        assert_eq!(scene.db.value("SELECT count(*) FROM t"), "2");
    }
}
