//! The address book: translates the OIDs and attribute numbers of catalog rows into object ids.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::model::{Attrs, Ident, ObjectId};

use super::Version;

/// OIDs of the system catalogs themselves, fixed since PostgreSQL 8.1 (src/include/catalog/pg_*.h).
pub mod class {
    pub const PG_DEFAULT_ACL: u32 = 826;
    pub const PG_TYPE: u32 = 1247;
    pub const PG_PROC: u32 = 1255;
    pub const PG_CLASS: u32 = 1259;
    pub const PG_FOREIGN_SERVER: u32 = 1417;
    pub const PG_USER_MAPPING: u32 = 1418;
    pub const PG_FOREIGN_DATA_WRAPPER: u32 = 2328;
    pub const PG_AMOP: u32 = 2602;
    pub const PG_AMPROC: u32 = 2603;
    pub const PG_ATTRDEF: u32 = 2604;
    pub const PG_CAST: u32 = 2605;
    pub const PG_CONSTRAINT: u32 = 2606;
    pub const PG_NAMESPACE: u32 = 2615;
    pub const PG_OPCLASS: u32 = 2616;
    pub const PG_OPERATOR: u32 = 2617;
    pub const PG_REWRITE: u32 = 2618;
    pub const PG_TRIGGER: u32 = 2620;
    pub const PG_OPFAMILY: u32 = 2753;
    pub const PG_EXTENSION: u32 = 3079;
    pub const PG_POLICY: u32 = 3256;
    pub const PG_STATISTIC_EXT: u32 = 3381;
    pub const PG_COLLATION: u32 = 3456;
    pub const PG_EVENT_TRIGGER: u32 = 3466;
    pub const PG_TS_DICT: u32 = 3600;
    pub const PG_TS_PARSER: u32 = 3601;
    pub const PG_TS_CONFIG: u32 = 3602;
    pub const PG_TS_TEMPLATE: u32 = 3764;
    pub const PG_PUBLICATION: u32 = 6104;
    pub const PG_PUBLICATION_REL: u32 = 6106;
    pub const PG_PUBLICATION_NAMESPACE: u32 = 6237;
}

/// Where a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address {
    /// Class and OID of a row that is an object.
    Whole(u32, u32),
    /// Class and OID of a row that is created and dropped with an object.
    Part(u32, u32),
    /// A relation's OID and the number of its column.
    Column(u32, i16),
}

/// Everything that was named so far in one reading of a catalog.
#[derive(Debug, Clone)]
pub struct Book {
    /// The server that is read.
    pub server: Version,
    ids: FxHashMap<(u32, u32), ObjectId>,
    parts: FxHashMap<(u32, u32), ObjectId>,
    columns: FxHashMap<(u32, i16), ObjectId>,
    members: FxHashSet<(u32, u32)>,
    guests: FxHashMap<(u32, u32), ObjectId>,
    roles: FxHashMap<u32, Ident>,
    odd_parts: FxHashMap<(u32, i16), Attrs>,
}

impl Book {
    /// An empty book.
    pub fn new(server: Version) -> Self {
        Self {
            server,
            ids: FxHashMap::default(),
            parts: FxHashMap::default(),
            columns: FxHashMap::default(),
            members: FxHashSet::default(),
            guests: FxHashMap::default(),
            roles: FxHashMap::default(),
            odd_parts: FxHashMap::default(),
        }
    }

    /// Names a row. A row may have several addresses (a view's rule stands for the view).
    pub fn add(&mut self, class: u32, oid: u32, id: ObjectId) {
        self.ids.insert((class, oid), id);
    }

    /// Records a row that is created and dropped with an object, and is neither it nor a separate object: what depends on the one
    /// depends on the other, but a comment on it is not a comment on the object.
    pub fn add_part(&mut self, class: u32, oid: u32, id: ObjectId) {
        self.parts.insert((class, oid), id);
    }

    /// All addresses, in no order.
    pub fn rows(&self) -> impl Iterator<Item = (Address, &ObjectId)> {
        let whole = self.ids.iter().map(|((class, oid), id)| (Address::Whole(*class, *oid), id));
        let parts = self.parts.iter().map(|((class, oid), id)| (Address::Part(*class, *oid), id));
        let columns = self.columns.iter().map(|((relation, number), id)| (Address::Column(*relation, *number), id));
        whole.chain(parts).chain(columns)
    }

    /// The object that belongs to that row.
    pub fn whole(&self, class: u32, oid: u32) -> Option<&ObjectId> {
        self.get(class, oid).or_else(|| self.parts.get(&(class, oid)))
    }

    /// Names a column.
    pub fn add_column(&mut self, relation: u32, number: i16, id: ObjectId) {
        self.columns.insert((relation, number), id);
    }

    /// Records that the row belongs to an extension, and is therefore not managed.
    pub fn add_member(&mut self, class: u32, oid: u32) {
        self.members.insert((class, oid));
    }

    /// Names an object of an extension: it is not managed, but rights on it may be.
    pub fn add_guest(&mut self, class: u32, oid: u32, id: ObjectId) {
        self.guests.insert((class, oid), id);
    }

    /// The object of an extension that belongs to that row, if there are rights on it.
    pub fn guest(&self, class: u32, oid: u32) -> Option<&ObjectId> {
        self.guests.get(&(class, oid))
    }

    /// Notes a role.
    pub fn add_role(&mut self, oid: u32, name: Ident) {
        self.roles.insert(oid, name);
    }

    /// Records the attributes of a part of an index beyond its column or expression.
    pub fn add_odd_part(&mut self, index: u32, number: i16, attrs: Attrs) {
        self.odd_parts.insert((index, number), attrs);
    }

    /// The attributes of a part of an index, if any.
    pub fn odd_part(&self, index: u32, number: i16) -> Option<&Attrs> {
        self.odd_parts.get(&(index, number))
    }

    /// The object of that row, if it is modelled and managed.
    pub fn get(&self, class: u32, oid: u32) -> Option<&ObjectId> {
        self.ids.get(&(class, oid))
    }

    /// The object of a class, an OID and the number of a column (0: none), as catalogs of things on any object say it.
    pub fn object(&self, class: u32, oid: u32, sub: i32) -> Option<&ObjectId> {
        match class == class::PG_CLASS && sub != 0 {
            true => self.column(oid, i16::try_from(sub).ok()?),
            false => self.get(class, oid),
        }
    }

    /// A schema that is managed.
    pub fn schema(&self, oid: u32) -> Option<&ObjectId> {
        self.get(class::PG_NAMESPACE, oid)
    }

    /// A table, view, index, sequence or composite type.
    pub fn relation(&self, oid: u32) -> Option<&ObjectId> {
        self.get(class::PG_CLASS, oid)
    }

    /// A column by its number.
    pub fn column(&self, relation: u32, number: i16) -> Option<&ObjectId> {
        self.columns.get(&(relation, number))
    }

    /// A column's name by its number.
    pub fn column_name(&self, relation: u32, number: i16) -> Option<Ident> {
        self.column(relation, number).map(|id| id.name().clone())
    }

    /// True if an extension brought the row.
    pub fn is_member(&self, class: u32, oid: u32) -> bool {
        self.members.contains(&(class, oid))
    }

    /// A role's name; OID 0 is the pseudo-role `public`.
    pub fn role(&self, oid: u32) -> Ident {
        if oid == 0 {
            return Ident::from("public");
        }
        self.roles.get(&oid).cloned().unwrap_or_else(|| Ident::from(oid.to_string()))
    }
}
