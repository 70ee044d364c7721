//! What a step does to relations that were there before it, as the server tells it inside of the step's transaction: locks from `pg_locks`,
//! rewrites from file nodes, full reads from `pg_stat_get_xact_numscans`. That function counts every sequential scan of
//! a heap, those by which ALTER TABLE, VALIDATE and index builds read a table included (measured on 13 to 18). Before 15, a server
//! collects these numbers through a socket, which a confined throwaway server may not open: full reads are not seen there.
//!
//! Whatever a step does to a relation, it has locked it, and keeps the lock: all relations are read once, and then only those that the
//! transaction has locked.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{Row, Session};
use crate::kinds::{Heirs, LockMode};
use crate::model::Result;

/// What is asked of a relation `c`, which may be gone; composite types are not relations.
const COLUMNS: &str = "c.oid, n.nspname::text, c.relname::text, c.relkind, coalesce(i.indrelid, t.oid, d.refobjid, 0), \
         coalesce(pg_catalog.pg_relation_filenode(c.oid), 0), coalesce(pg_catalog.pg_stat_get_xact_numscans(c.oid), 0), \
         ARRAY(SELECT h.inhparent FROM pg_catalog.pg_inherits h WHERE h.inhrelid = c.oid), coalesce(c.relispartition, false), \
         coalesce(d.deptype = 'i', false), coalesce(c.relkind IN ('r', 'm') AND pg_catalog.pg_relation_size(c.oid) > 0, false)";

const JOINS: &str = "LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid LEFT JOIN pg_catalog.pg_class t ON c.relkind = 't' AND t.reltoastrelid = c.oid \
     LEFT JOIN pg_catalog.pg_depend d ON c.relkind = 'S' AND d.classid = 1259 AND d.objid = c.oid AND d.refclassid = 1259 \
         AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')";

/// How often this transaction has read tables whole so far: not since it began, but since the server last collected these numbers.
const SCANS: &str = "SELECT c.oid, pg_catalog.pg_stat_get_xact_numscans(c.oid) FROM pg_catalog.pg_class c \
     WHERE c.oid >= 16384 AND c.relkind IN ('r', 'm') AND pg_catalog.pg_stat_get_xact_numscans(c.oid) > 0";

fn all() -> String {
    format!("SELECT {COLUMNS} FROM pg_catalog.pg_class c {JOINS} WHERE c.oid >= 16384 AND c.relkind <> 'c'")
}

fn locked() -> String {
    format!(
        "SELECT l.relation, l.modes, {COLUMNS} FROM (SELECT relation, pg_catalog.array_agg(mode) AS modes FROM pg_catalog.pg_locks \
             WHERE locktype = 'relation' AND granted AND pid = pg_catalog.pg_backend_pid() AND relation >= 16384 GROUP BY relation) l \
         LEFT JOIN pg_catalog.pg_class c ON c.oid = l.relation AND c.relkind <> 'c' {JOINS}"
    )
}

/// A relation as a transaction sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Relation {
    schema: String,
    name: String,
    /// `pg_class.relkind`.
    kind: char,
    /// The table of an index or of a TOAST table, or that of the column that owns a sequence.
    whole: Option<u32>,
    node: u32,
    scans: i64,
    parents: Vec<u32>,
    partition: bool,
    /// A sequence that numbers an identity column, and is known to nobody by itself.
    inner: bool,
    /// It has rows, or had some.
    filled: bool,
}

/// What happened to a table, view or sequence that was there before, and to its indexes and its TOAST table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its schema and name before.
    pub name: [String; 2],
    /// The table of the column that owns it, if it is a sequence.
    pub owner: Option<[String; 2]>,
    /// The strongest lock on it, or on an index of it, which whoever plans a query on it has to open, too. Locks that are not stronger
    /// than one that the transaction had before are not seen.
    pub lock: Option<LockMode>,
    /// The strongest lock that the transaction has on it by then.
    pub held: Option<LockMode>,
    /// Its rows were rewritten.
    pub rewritten: bool,
    /// Indexes of it that were built, or written to another place.
    pub built: Vec<String>,
    /// Its rows were all read.
    pub scanned: bool,
}

/// All relations of a database as this session's transaction sees them, and the strongest lock that it has on each.
#[derive(Debug, Default)]
pub struct Relations {
    now: BTreeMap<u32, Relation>,
    locks: BTreeMap<u32, LockMode>,
    /// Those that are there from the start.
    start: BTreeSet<u32>,
    /// What the transaction has changed, as it was before.
    undo: Vec<(u32, Option<Relation>)>,
}

impl Relations {
    /// Reads all of them, outside of what is looked at. What is there the first time is there from the start.
    ///
    /// # Errors
    /// The server's.
    pub async fn read(&mut self, session: &Session) -> Result<()> {
        let first = self.start.is_empty();
        self.now = session.rows(&all(), &[]).await?.iter_mut().filter_map(relation).collect();
        self.undo.clear();
        if first {
            self.start = self.now.keys().copied().collect();
        }
        Ok(())
    }

    /// A transaction is open.
    ///
    /// # Errors
    /// The server's.
    pub async fn begin(&mut self, session: &Session) -> Result<()> {
        self.locks.clear();
        for relation in self.now.values_mut() {
            relation.scans = 0;
        }
        for mut row in session.rows(SCANS, &[]).await? {
            if let Some(relation) = self.now.get_mut(&row.oid()) {
                relation.scans = row.next();
            }
        }
        Ok(())
    }

    /// The transaction is committed.
    pub fn commit(&mut self) {
        self.undo.clear();
    }

    /// The transaction is rolled back.
    pub fn roll_back(&mut self) {
        for (oid, relation) in std::mem::take(&mut self.undo).into_iter().rev() {
            self.put(oid, relation);
        }
    }

    fn put(&mut self, oid: u32, relation: Option<Relation>) -> Option<Relation> {
        match relation {
            Some(relation) => self.now.insert(oid, relation),
            None => self.now.remove(&oid),
        }
    }

    /// What was done since the last look in this transaction to what is there from the start.
    ///
    /// # Errors
    /// The server's.
    pub async fn look(&mut self, session: &Session) -> Result<Vec<Seen>> {
        let (mut locks, mut after) = (BTreeMap::new(), BTreeMap::new());
        for mut row in session.rows(&locked(), &[]).await? {
            let (oid, modes) = (row.oid(), row.next::<Vec<String>>());
            if let Some(mode) = modes.iter().filter_map(|mode| lock_mode(mode)).max() {
                locks.insert(oid, mode);
            }
            after.insert(oid, relation(&mut row).map(|(_, relation)| relation));
        }
        let seen = self.compare(&locks, &after);
        for (oid, relation) in after {
            if self.now.get(&oid) != relation.as_ref() {
                let before = self.put(oid, relation);
                self.undo.push((oid, before));
            }
        }
        self.locks = locks;
        Ok(seen)
    }

    fn compare(&self, locks: &BTreeMap<u32, LockMode>, after: &BTreeMap<u32, Option<Relation>>) -> Vec<Seen> {
        let mut seen: BTreeMap<u32, Seen> = BTreeMap::new();
        for (oid, now) in after {
            let whole = self.whole(*oid);
            let (Some(relation), Some(root)) = (self.now.get(oid), self.now.get(&whole)) else { continue };
            if !self.start.contains(&whole) {
                continue;
            }
            let entry = seen.entry(whole).or_insert_with(|| Seen {
                name: root.names(),
                owner: root.whole.filter(|_| root.kind == 'S').and_then(|of| self.now.get(&of)).map(Relation::names),
                lock: None,
                held: None,
                rewritten: false,
                built: Vec::new(),
                scanned: false,
            });
            let held = locks.get(oid).copied();
            entry.lock = entry.lock.max(held.filter(|_| held.as_ref() > self.locks.get(oid)));
            // Nobody waits for an index that the plan has made itself.
            let waited_for = self.start.contains(oid) || !matches!(relation.kind, 'i' | 'I');
            entry.held = entry.held.max(held.filter(|_| waited_for));
            let Some(now) = now else { continue };
            match relation.kind {
                'i' | 'I' if now.node != relation.node => entry.built.push(relation.name.clone()),
                'r' | 'm' => {
                    entry.rewritten |= now.node != relation.node;
                    entry.scanned |= now.scans > relation.scans && relation.filled;
                }
                _ => {}
            }
        }
        // One that takes the place of another may have its file; that of a new TOAST table is empty.
        let has_file = |node: u32| self.now.values().any(|relation| relation.node == node);
        for index in after.iter().filter(|(oid, _)| !self.now.contains_key(oid)).filter_map(|(_, now)| now.as_ref()) {
            let table = index.whole.filter(|_| index.kind == 'i').and_then(|table| seen.get_mut(&table));
            if let Some(entry) = table.filter(|_| !has_file(index.node)) {
                entry.built.push(index.name.clone());
            }
        }
        let happened = |seen: &Seen| seen.lock.is_some() || seen.rewritten || seen.scanned || !seen.built.is_empty();
        seen.into_values().filter(happened).collect()
    }

    /// The relation that people name: an index's or TOAST table's own table.
    fn whole(&self, oid: u32) -> u32 {
        match self.now.get(&oid) {
            Some(Relation { kind: 'i' | 'I' | 't', whole: Some(whole), .. })
            | Some(Relation { inner: true, whole: Some(whole), .. }) => self.whole(*whole),
            _ => oid,
        }
    }

    /// The name of a relation, if there is one of that name from the start, and those of its heirs; each with whether it has rows.
    pub fn named(&self, name: &[String], heirs: Heirs) -> Vec<([String; 2], bool)> {
        let named = |relation: &Relation| [relation.schema.as_str(), relation.name.as_str()] == name;
        let there = self.now.iter().filter(|(oid, _)| self.start.contains(oid));
        let mut oids: Vec<u32> = there.filter(|(_, relation)| named(relation)).map(|(oid, _)| *oid).collect();
        let is_heir = |relation: &Relation| heirs == Heirs::All || heirs == Heirs::Partitions && relation.partition;
        let mut at = 0;
        while let Some(oid) = oids.get(at).copied().filter(|_| heirs != Heirs::None) {
            at += 1;
            let children = self.now.iter().filter(|(_, relation)| relation.parents.contains(&oid) && is_heir(relation));
            let children: Vec<u32> = children.map(|(child, _)| *child).filter(|child| !oids.contains(child)).collect();
            oids.extend(children);
        }
        oids.iter().filter_map(|oid| self.now.get(oid)).map(|relation| (relation.names(), relation.filled)).collect()
    }
}

impl Relation {
    fn names(&self) -> [String; 2] {
        [self.schema.clone(), self.name.clone()]
    }
}

/// What `COLUMNS` say; nothing about what is gone.
fn relation(row: &mut Row) -> Option<(u32, Relation)> {
    let (oid, schema, name) = (row.oid(), row.text_opt()?.to_string(), row.next());
    let (kind, whole, node, scans, parents) = (row.char(), row.oid(), row.oid(), row.next(), row.next());
    let (partition, inner, filled) = (row.next(), row.next(), row.next());
    let whole = Some(whole).filter(|oid| *oid != 0);
    Some((oid, Relation { schema, name, kind, whole, node, scans, parents, partition, inner, filled }))
}

/// The mode of that name in `pg_locks`: `AccessShareLock`.
fn lock_mode(name: &str) -> Option<LockMode> {
    let is = |mode: &LockMode| format!("{}LOCK", mode.words().replace(' ', "")).eq_ignore_ascii_case(name);
    LockMode::ALL.into_iter().find(is)
}
