//! What has to be known about tables to fill them: columns, keys, checks, foreign keys and partitions, read from the catalog.

use rustc_hash::FxHashMap;

use crate::catalog::{Row, Session};
use crate::model::{Ident, Result};
use crate::sql;

use super::conditions::{Condition, Tree, mentioned, tree};
use super::types::{Shape, Types};

/// Everything about the tables of one filling, by OID.
pub(super) struct Facts {
    pub tables: Vec<Table>,
    pub types: Types,
    /// All schemas of people, the place where functions called by checks may look for names.
    pub schemas: Vec<Ident>,
    /// Whether values are to sit at the edges of their types.
    pub edges: bool,
    /// Names that a check may want to find in the catalog: of a table, a function, a role.
    pub known: Vec<String>,
}

pub(super) struct Table {
    pub oid: u32,
    pub schema: Ident,
    pub name: Ident,
    pub columns: Vec<Column>,
    pub conditions: Vec<Condition>,
    /// What tables that refer to it ask of the columns that they refer to: not all of its rows have to satisfy it, but some should.
    pub offers: Vec<Tree>,
    /// How many different rows they can make use of.
    pub asked: usize,
    /// Unique indexes by name, and the columns that together are unique.
    pub keys: Vec<(String, Vec<usize>)>,
    pub references: Vec<Reference>,
    /// The outermost parent, if it is a partition.
    pub root: Option<u32>,
    /// Number of partitions that hold rows, if it is partitioned.
    pub leaves: Option<usize>,
    /// What functions called in its constraints consist of.
    pub bodies: Vec<String>,
}

pub(super) struct Column {
    pub number: i16,
    pub name: Ident,
    pub kind: u32,
    pub modifier: i32,
    /// Its type as SQL.
    pub sql: String,
    /// The type below all domains, as SQL.
    pub base: String,
    pub not_null: bool,
    pub generated: Option<String>,
    pub default: Option<String>,
    /// A sequence belongs to it, though no default names one.
    pub numbered: bool,
}

impl Column {
    /// What gives the next value, if a sequence follows the block.
    pub fn next(&self, table: &Table) -> Option<String> {
        if self.numbered {
            let path = sql::literal(&table.path());
            return Some(format!(
                "nextval(pg_get_serial_sequence({path}, {})::regclass)",
                sql::literal(self.name.as_str())
            ));
        }
        self.default.clone().filter(|default| default.contains("nextval("))
    }
}

/// A foreign key: positions of columns here, names there.
pub(super) struct Reference {
    pub name: String,
    pub columns: Vec<usize>,
    pub target: u32,
    pub target_path: String,
    pub theirs: Vec<Ident>,
    /// MATCH FULL: all or none are NULL.
    pub full: bool,
}

impl Table {
    /// `schema.name`, quoted.
    pub fn path(&self) -> String {
        path(&self.schema, &self.name)
    }

    /// True if no row can be without it.
    pub fn needs(&self, reference: &Reference) -> bool {
        reference.columns.iter().all(|at| self.columns.get(*at).is_some_and(|column| column.not_null))
    }
}

fn path(schema: &Ident, name: &Ident) -> String {
    format!("{}.{}", sql::name(schema), sql::name(name))
}

/// The tables that are wanted, those that they refer to and those that they are partitions of. `$1` NULL: all ordinary ones.
const CLOSURE: &str = "WITH RECURSIVE w(oid) AS (\
     SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
     WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
     AND CASE WHEN $1::text[] IS NULL THEN NOT EXISTS (SELECT FROM pg_depend d \
       WHERE d.classid = 1259 AND d.objid = c.oid AND d.deptype = 'e') \
     ELSE EXISTS (SELECT FROM unnest($1::text[], $2::text[]) AS x(s, t) WHERE x.s = n.nspname AND x.t = c.relname) END \
     UNION SELECT x.n FROM w, LATERAL (SELECT f.confrelid FROM pg_constraint f WHERE f.conrelid = w.oid AND f.contype = 'f' \
       UNION ALL SELECT pg_partition_root(w.oid)::oid WHERE (SELECT relispartition FROM pg_class WHERE oid = w.oid)) AS x(n) \
     WHERE x.n IS NOT NULL) \
     SELECT c.oid, n.nspname, c.relname, \
     CASE WHEN c.relispartition THEN pg_partition_root(c.oid)::oid END, c.relkind = 'p', \
     CASE WHEN c.relkind = 'p' AND NOT c.relispartition THEN ARRAY(SELECT pg_get_partition_constraintdef(t.relid) \
       FROM pg_partition_tree(c.oid) t WHERE t.isleaf AND t.level > 0 LIMIT 1000) END \
     FROM w JOIN pg_class c ON c.oid = w.oid JOIN pg_namespace n ON n.oid = c.relnamespace ORDER BY c.oid";

const COLUMNS: &str = "SELECT a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod, format_type(a.atttypid, a.atttypmod), \
     a.attnotnull, a.attidentity <> '' OR d.oid IS NULL AND a.atttypid IN (20, 21, 23) AND EXISTS (SELECT FROM pg_depend o \
       JOIN pg_class s ON s.oid = o.objid AND s.relkind = 'S' WHERE o.classid = 1259 AND o.refclassid = 1259 \
       AND o.refobjid = a.attrelid AND o.refobjsubid = a.attnum AND o.deptype = 'a'), a.attgenerated <> '', pg_get_expr(d.adbin, d.adrelid) \
     FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
     WHERE a.attrelid = ANY ($1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attrelid, a.attnum";

const CONSTRAINTS: &str = "SELECT c.conrelid, c.conname, c.contype, c.conkey, \
     CASE WHEN c.contype = 'c' THEN pg_get_expr(c.conbin, c.conrelid) END, c.confrelid, n.nspname, t.relname, \
     ARRAY(SELECT a.attname::text FROM unnest(c.confkey) WITH ORDINALITY AS k(num, o) \
       JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.num ORDER BY k.o), c.confmatchtype = 'f', \
     ARRAY(SELECT b.src FROM pg_depend d JOIN pg_proc p ON p.oid = d.refobjid, LATERAL (SELECT p.prosrc UNION ALL (\
       SELECT q.prosrc FROM pg_proc q WHERE q.oid >= 16384 AND q.oid <> p.oid AND position(q.proname in p.prosrc) > 0 LIMIT 5)) AS b(src) \
       WHERE d.classid = 2606 AND d.objid = c.oid AND d.refclassid = 1255 AND p.oid >= 16384) \
     FROM pg_constraint c LEFT JOIN pg_class t ON t.oid = c.confrelid LEFT JOIN pg_namespace n ON n.oid = t.relnamespace \
     WHERE c.conrelid = ANY ($1) AND c.contype IN ('c', 'f') ORDER BY c.conrelid, c.oid";

/// Unique indexes by their plain columns, and what all indexes have to compute for each row.
const INDEXES: &str = "SELECT i.indrelid, c.relname, i.indisunique, i.indkey::text, i.indnkeyatts::int4, \
     pg_get_expr(i.indpred, i.indrelid), ARRAY(SELECT pg_get_indexdef(i.indexrelid, k.o::int4, false) \
       FROM unnest(i.indkey) WITH ORDINALITY AS k(num, o) WHERE k.num = 0) \
     FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = ANY ($1) \
     AND (i.indisunique OR i.indexprs IS NOT NULL) ORDER BY i.indrelid, i.indexrelid";

const SCHEMAS: &str =
    "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' ORDER BY nspname";

/// Names of a table, functions, a role and the like.
const KNOWN: &str = "(SELECT c.oid::regclass::text FROM pg_class c WHERE c.oid >= 16384 AND c.relkind = 'r' ORDER BY c.oid LIMIT 2) \
     UNION ALL (SELECT p.proname FROM pg_proc p WHERE p.oid >= 16384 ORDER BY p.oid LIMIT 2) UNION ALL SELECT CURRENT_USER::text \
     UNION ALL VALUES ('pg_class'), ('pg_catalog.pg_class'), ('lower'), ('pg_catalog.lower'), ('public'), ('plpgsql'), ('UTC'), \
     ('Europe/Prague'), ('en_US'), ('C'), ('text'), ('simple')";

/// Reads all of it.
///
/// # Errors
/// The server's.
pub(super) async fn read(session: &Session, wanted: Option<&[(String, String)]>) -> Result<Facts> {
    let split =
        |at: fn(&(String, String)) -> &String| wanted.map(|list| list.iter().map(|pair| at(pair).clone()).collect());
    let (schemas, names): (Option<Vec<String>>, Option<Vec<String>>) = (split(|pair| &pair.0), split(|pair| &pair.1));
    let mut tables = Vec::new();
    let mut leaves: Vec<Option<Vec<Option<String>>>> = Vec::new();
    for mut row in session.rows(CLOSURE, &[&schemas, &names]).await? {
        tables.push(blank(&mut row));
        leaves.push(row.next_opt());
    }
    let oids: Vec<u32> = tables.iter().map(|table: &Table| table.oid).collect();
    let places: FxHashMap<u32, usize> = oids.iter().enumerate().map(|(at, oid)| (*oid, at)).collect();
    let (columns, constraints, indexes, schemas, known) = tokio::try_join!(
        about(session, COLUMNS, &oids),
        about(session, CONSTRAINTS, &oids),
        about(session, INDEXES, &oids),
        session.rows(SCHEMAS, &[]),
        session.rows(KNOWN, &[]),
    )?;
    for mut row in columns {
        let oid = row.oid();
        if let Some(table) = places.get(&oid).and_then(|at| tables.get_mut(*at)) {
            table.columns.push(column(&mut row));
        }
    }
    let kinds: Vec<u32> = tables.iter().flat_map(|table| table.columns.iter().map(|column| column.kind)).collect();
    let types = Types::read(session, &kinds).await?;
    for mut row in constraints {
        let oid = row.oid();
        if let Some(table) = places.get(&oid).and_then(|at| tables.get_mut(*at)) {
            constraint(table, &mut row);
        }
    }
    for mut row in indexes {
        let oid = row.oid();
        if let Some(table) = places.get(&oid).and_then(|at| tables.get_mut(*at)) {
            index(table, &mut row);
        }
    }
    for (table, leaves) in tables.iter_mut().zip(leaves) {
        partitions(table, leaves);
        domains(table, &types);
    }
    offers(&mut tables, &places);
    let names = |rows: Vec<Row>| rows.into_iter().map(|mut row| row.text().to_string()).collect::<Vec<_>>();
    let schemas = names(schemas).into_iter().map(Ident::from).collect();
    Ok(Facts { tables, types, schemas, edges: true, known: names(known) })
}

async fn about(session: &Session, query: &str, tables: &Vec<u32>) -> Result<Vec<Row>> {
    session.rows(query, &[tables]).await
}

fn blank(row: &mut Row) -> Table {
    let (oid, schema, name) = (row.oid(), Ident::new(row.text()), Ident::new(row.text()));
    let (root, partitioned) = (row.next_opt(), row.next::<bool>());
    Table {
        oid,
        schema,
        name,
        columns: Vec::new(),
        conditions: Vec::new(),
        offers: Vec::new(),
        asked: 0,
        keys: Vec::new(),
        references: Vec::new(),
        root,
        leaves: partitioned.then_some(0),
        bodies: Vec::new(),
    }
}

fn column(row: &mut Row) -> Column {
    let (number, name, kind, modifier) = (row.next(), Ident::new(row.text()), row.oid(), row.next());
    let sql = row.text().to_string();
    let (not_null, numbered, generated) = (row.next(), row.next(), row.next::<bool>());
    let expression = row.text_opt().map(|text| text.to_string());
    let (generated, default) = if generated { (expression, None) } else { (None, expression) };
    Column { number, name, kind, modifier, base: sql.clone(), sql, not_null, generated, default, numbered }
}

fn constraint(table: &mut Table, row: &mut Row) {
    let (name, kind, numbers) = (row.text().to_string(), row.char(), row.next::<Vec<i16>>());
    let position = |number: &i16| table.columns.iter().position(|column| column.number == *number);
    let columns: Vec<usize> = numbers.iter().filter_map(position).collect();
    if kind == 'c' {
        let text = row.text();
        let condition = Condition { name: Some(name), tree: tree(&text, &table.columns) };
        table.conditions.push(condition);
        row.next_opt::<u32>();
        for _ in 0..2 {
            row.text_opt();
        }
        row.next_opt::<Vec<String>>();
        row.next_opt::<bool>();
        table.bodies.extend(row.next::<Vec<String>>());
        return;
    }
    row.text_opt();
    let (target, schema, relation) = (row.oid(), Ident::new(row.text()), Ident::new(row.text()));
    let theirs: Vec<String> = row.next();
    let reference = Reference {
        name,
        columns,
        target,
        target_path: path(&schema, &relation),
        theirs: theirs.into_iter().map(Ident::from).collect(),
        full: row.next(),
    };
    if reference.columns.len() == reference.theirs.len() {
        table.references.push(reference);
    }
}

fn index(table: &mut Table, row: &mut Row) {
    let (name, unique, numbers, size) = (row.text().to_string(), row.next::<bool>(), row.text(), row.next::<i32>());
    let predicate = row.text_opt();
    let expressions: Vec<String> = row.next();
    let numbers: Vec<i16> =
        numbers.split(' ').filter_map(|number| number.parse().ok()).take(size.max(0) as usize).collect();
    let position = |number: &i16| table.columns.iter().position(|column| column.number == *number);
    if unique && predicate.is_none() && !numbers.contains(&0) {
        table.keys.push((name.clone(), numbers.iter().filter_map(position).collect()));
    }
    // It only has to be computed: its result does not matter here.
    for text in expressions.iter().map(String::as_str).chain(predicate.as_deref()) {
        let leaf = Condition::computed(&name, text, &table.columns);
        table.conditions.push(leaf);
    }
}

/// One of its partitions has to take each row.
fn partitions(table: &mut Table, leaves: Option<Vec<Option<String>>>) {
    let Some(leaves) = leaves else { return };
    table.leaves = Some(leaves.len());
    // A default partition that is the only one has no condition.
    let bounds: Vec<String> = leaves.into_iter().flatten().filter(|text| !text.is_empty()).collect();
    if bounds.is_empty() || table.leaves.is_some_and(|count| count > bounds.len()) {
        return;
    }
    let any = Condition::any(&bounds, &table.columns);
    table.conditions.push(any);
}

/// Hands what tables ask of their foreign keys on to the tables that these refer to.
fn offers(tables: &mut [Table], places: &FxHashMap<u32, usize>) {
    let mut found = Vec::new();
    for table in tables.iter() {
        for reference in &table.references {
            let ([at], [theirs]) = (&reference.columns[..], &reference.theirs[..]) else { continue };
            let Some(target) = places.get(&reference.target).filter(|_| reference.target != table.oid) else {
                continue;
            };
            let key =
                tables.get(*target).and_then(|target| target.columns.iter().position(|column| column.name == *theirs));
            let (Some(key), Some(column)) = (key, table.columns.get(*at)) else { continue };
            let own = table.conditions.iter().filter(|condition| condition.tree.columns() == [*at]);
            let trees: Vec<Tree> = own.map(|condition| condition.tree.about(key, &column.name, theirs)).collect();
            found.push((*target, trees, table.leaves.unwrap_or(0)));
        }
    }
    for (target, trees, leaves) in found {
        if let Some(table) = tables.get_mut(target) {
            table.asked = table.asked.max(if trees.is_empty() { 0 } else { leaves });
            table.offers.extend(trees);
        }
    }
}

/// What the domains of its columns ask for.
fn domains(table: &mut Table, types: &Types) {
    let mut found = Vec::new();
    for column in &mut table.columns {
        let name = sql::name(&column.name).to_string();
        let mut kind = column.kind;
        while let Some(Shape::Domain { base, base_sql, not_null, checks, bodies, .. }) = types.shape(kind) {
            column.not_null |= *not_null;
            column.base.clone_from(base_sql);
            table.bodies.extend(bodies.iter().cloned());
            found.extend(checks.iter().map(|(check, text)| (check.clone(), super::conditions::of_value(text, &name))));
            kind = *base;
        }
    }
    for (name, text) in found {
        let condition = Condition { name: Some(name), tree: tree(&text, &table.columns) };
        table.conditions.push(condition);
    }
    // A generated value is computed from others, and may not fit.
    for column in &table.columns {
        if let Some(text) = &column.generated
            && !mentioned(text, &table.columns).is_empty()
        {
            let text = format!("({text})::{}", column.base);
            let name = column.name.as_str();
            let condition = match column.not_null {
                true => Condition {
                    name: Some(name.to_owned()),
                    tree: tree(&format!("({text}) IS NOT NULL"), &table.columns),
                },
                false => Condition::computed(name, &text, &table.columns),
            };
            table.conditions.push(condition);
        }
    }
}
