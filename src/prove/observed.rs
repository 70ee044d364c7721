//! What a step does to relations that were there before it, as the server tells it inside of the step's transaction: locks from `pg_locks`,
//! what was written again from file nodes, what was read whole from `pg_stat_get_xact_numscans`. That one counts every sequential scan of
//! a heap, those by which ALTER TABLE, VALIDATE and index builds read a table included (measured on 13 to 18).

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::Session;
use crate::kinds::{Heirs, LockMode};
use crate::model::Result;

/// All relations of the database but composite types, whatever schema they are in.
const RELATIONS: &str = "SELECT c.oid, n.nspname::text, c.relname::text, c.relkind, coalesce(i.indrelid, t.oid, d.refobjid, 0), \
         coalesce(pg_catalog.pg_relation_filenode(c.oid), 0), coalesce(pg_catalog.pg_stat_get_xact_numscans(c.oid), 0), \
         ARRAY(SELECT h.inhparent FROM pg_catalog.pg_inherits h WHERE h.inhrelid = c.oid), c.relispartition, coalesce(d.deptype = 'i', false), \
         c.relkind IN ('r', 'm') AND pg_catalog.pg_relation_size(c.oid) > 0 \
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid LEFT JOIN pg_catalog.pg_class t ON t.reltoastrelid = c.oid \
     LEFT JOIN pg_catalog.pg_depend d ON c.relkind = 'S' AND d.classid = 1259 AND d.objid = c.oid AND d.refclassid = 1259 \
         AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i') \
     WHERE c.oid >= 16384 AND c.relkind <> 'c'";

/// The table locks of this session.
const LOCKS: &str = "SELECT l.relation, l.mode FROM pg_catalog.pg_locks l \
     WHERE l.locktype = 'relation' AND l.granted AND l.pid = pg_catalog.pg_backend_pid()";

/// A relation as a transaction sees it.
#[derive(Debug, Clone)]
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

/// All relations, and the strongest lock that this session has on each, at one moment of a transaction.
#[derive(Debug, Clone, Default)]
pub struct Moment {
    relations: BTreeMap<u32, Relation>,
    locks: BTreeMap<u32, LockMode>,
}

/// What happened to a table, view or sequence that was there before, and to its indexes and its TOAST table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its schema and name before.
    pub name: [String; 2],
    /// `pg_class.relkind`.
    pub kind: char,
    /// The strongest lock on it, or on an index of it, which whoever plans a query on it has to open, too. Weaker locks than there were
    /// before are not seen.
    pub lock: Option<LockMode>,
    /// The strongest lock that the transaction has on it by then.
    pub held: Option<LockMode>,
    /// Its rows were written again.
    pub rewritten: bool,
    /// Indexes of it that were built, or written to another place.
    pub built: Vec<String>,
    /// Its rows were all read.
    pub scanned: bool,
}

impl Moment {
    /// How things are now.
    ///
    /// # Errors
    /// The server's.
    pub async fn now(session: &Session) -> Result<Self> {
        let mut moment = Self::default();
        for mut row in session.rows(RELATIONS, &[]).await? {
            let (oid, schema, name, kind) = (row.oid(), row.next(), row.next(), row.char());
            let (whole, node, scans, parents) = (row.oid(), row.oid(), row.next(), row.next());
            let (partition, inner, filled) = (row.next(), row.next(), row.next());
            let whole = Some(whole).filter(|oid| *oid != 0);
            let relation = Relation { schema, name, kind, whole, node, scans, parents, partition, inner, filled };
            moment.relations.insert(oid, relation);
        }
        for mut row in session.rows(LOCKS, &[]).await? {
            let (oid, mode) = (row.oid(), row.text());
            let words = |known: &LockMode| format!("{}LOCK", known.words().replace(' ', ""));
            let Some(mode) = LockMode::ALL.into_iter().find(|known| words(known).eq_ignore_ascii_case(&mode)) else {
                continue;
            };
            let strongest = moment.locks.entry(oid).or_insert(mode);
            *strongest = mode.max(*strongest);
        }
        Ok(moment)
    }

    /// The relation that people name: an index's or TOAST table's own table.
    fn whole(&self, oid: u32) -> u32 {
        match self.relations.get(&oid) {
            Some(Relation { kind: 'i' | 'I' | 't', whole: Some(whole), .. })
            | Some(Relation { inner: true, whole: Some(whole), .. }) => self.whole(*whole),
            _ => oid,
        }
    }

    /// What was done since `before`, in the same transaction, to what is there from the `start`.
    pub fn since(&self, before: &Self, start: &Self) -> Vec<Seen> {
        let mut seen: BTreeMap<u32, Seen> = BTreeMap::new();
        let there = |oid: &u32| start.relations.contains_key(&before.whole(*oid));
        for (oid, relation) in before.relations.iter().filter(|(oid, _)| there(oid)) {
            let Some(root) = before.relations.get(&before.whole(*oid)) else { continue };
            let entry = seen.entry(before.whole(*oid)).or_insert_with(|| Seen {
                name: [root.schema.clone(), root.name.clone()],
                kind: root.kind,
                lock: None,
                held: None,
                rewritten: false,
                built: Vec::new(),
                scanned: false,
            });
            let stronger = self.locks.get(oid).copied().filter(|mode| Some(mode) > before.locks.get(oid));
            entry.lock = entry.lock.max(stronger);
            entry.held = entry.held.max(self.locks.get(oid).copied());
            let Some(now) = self.relations.get(oid) else { continue };
            match relation.kind {
                'i' | 'I' if now.node != relation.node => entry.built.push(relation.name.clone()),
                'r' | 'm' => {
                    entry.rewritten |= now.node != relation.node;
                    entry.scanned |= now.scans > relation.scans && relation.filled;
                }
                _ => {}
            }
        }
        let new = self.relations.iter().filter(|(oid, _)| !before.relations.contains_key(oid));
        // One that takes the place of another may have its file; that of a new TOAST table is empty.
        let files: BTreeSet<u32> = before.relations.values().map(|relation| relation.node).collect();
        let built = |index: &Relation| {
            let of_old = index.whole.is_some_and(|table| before.relations.contains_key(&table));
            index.kind == 'i' && of_old && !files.contains(&index.node)
        };
        for (oid, index) in new.filter(|(_, index)| built(index)) {
            if let Some(entry) = seen.get_mut(&self.whole(*oid)) {
                entry.built.push(index.name.clone());
            }
        }
        let happened = |seen: &Seen| seen.lock.is_some() || seen.rewritten || seen.scanned || !seen.built.is_empty();
        seen.into_values().filter(happened).collect()
    }

    /// The name of a relation, if there is one of that name from the `start`, and those of its heirs.
    pub fn named(&self, name: &[String], heirs: Heirs, start: &Self) -> Vec<[String; 2]> {
        let named = |relation: &Relation| [relation.schema.as_str(), relation.name.as_str()] == name;
        let there = self.relations.iter().filter(|(oid, _)| start.relations.contains_key(oid));
        let mut oids: Vec<u32> = there.filter(|(_, relation)| named(relation)).map(|(oid, _)| *oid).collect();
        let is_heir = |relation: &Relation| heirs == Heirs::All || heirs == Heirs::Partitions && relation.partition;
        let mut at = 0;
        while let Some(oid) = oids.get(at).copied() {
            at += 1;
            let children =
                self.relations.iter().filter(|(_, relation)| relation.parents.contains(&oid) && is_heir(relation));
            let children: Vec<u32> = children.map(|(child, _)| *child).filter(|child| !oids.contains(child)).collect();
            oids.extend(children);
        }
        let found = oids.iter().filter_map(|oid| self.relations.get(oid));
        found.map(|relation| [relation.schema.clone(), relation.name.clone()]).collect()
    }

    /// True if the table of that name has rows, or had some.
    pub fn filled(&self, name: &[String; 2]) -> bool {
        self.relations.values().any(|relation| relation.filled && [&relation.schema, &relation.name] == [&name[0], &name[1]])
    }

    /// The name of the table that owns a sequence.
    pub fn owner_of(&self, name: &[String; 2]) -> Option<[String; 2]> {
        let owned =
            |relation: &&Relation| relation.kind == 'S' && [&relation.schema, &relation.name] == [&name[0], &name[1]];
        let owner = self.relations.values().find(owned)?.whole?;
        self.relations.get(&owner).map(|relation| [relation.schema.clone(), relation.name.clone()])
    }
}
