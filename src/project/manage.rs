//! Which parts of a database belong to the project: schemas, patterns, owners, grants, and partitions that others create.

use std::borrow::Cow;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::catalog::{Session, Version};
use crate::kinds::manage::{Managed, leave_out_owners, leave_to_creator, settle};
use crate::kinds::owner;
use crate::kinds::roles;
use crate::model::{Address, Ident, ObjectId, State, Within};

/// What is managed.
#[derive(Debug, Clone)]
pub struct Manage {
    /// The schemas, if not all of them.
    pub schemas: Option<Vec<Ident>>,
    /// What is left out.
    pub exclude: Vec<Pattern>,
    /// The owner of everything that names no other owner.
    pub owner: Option<Ident>,
    /// False: owners are left to others.
    pub owners: bool,
    /// False: privileges are left to others.
    pub grants: bool,
    /// True: partitions that no file declares are left to the program that creates them.
    pub external_partitions: bool,
    /// Role names in the files → role names in the database at hand.
    pub roles: FxHashMap<Ident, Ident>,
}

impl Default for Manage {
    fn default() -> Self {
        Self {
            schemas: None,
            exclude: Vec::new(),
            owner: None,
            owners: true,
            grants: true,
            external_partitions: false,
            roles: FxHashMap::default(),
        }
    }
}

/// A live state in the form that files have.
pub struct Written {
    /// What the files say.
    pub state: State,
    /// The project's owner that makes the files say no more than they must; `None` if the project names one already, or if the
    /// connected role owns most of it.
    pub owner: Option<Ident>,
}

impl Manage {
    /// True if some of a database may be left out: not all that is read of it is managed.
    pub fn leaves_out(&self) -> bool {
        self.schemas.is_some() || !self.exclude.is_empty() || self.external_partitions
    }

    /// The part of a live state that is managed. What `desired` declares of partitions is managed even where others make them, and so is
    /// what it declares on objects that are not managed.
    pub fn apply(&self, mut live: State, desired: &State) -> State {
        // Of what belongs to an extension, the catalog gives the rights alone.
        let guests: FxHashSet<ObjectId> =
            live.iter().map(|(id, _)| id).filter(|id| live.is_apart(id)).cloned().collect();
        if !self.leaves_out() && guests.is_empty() {
            return live;
        }
        let added = added(desired);
        let external: FxHashSet<ObjectId> = live
            .iter()
            .filter(|(id, object)| self.external_partitions && is_partition(object) && !desired.has(id))
            .map(|(id, _)| id.clone())
            .collect();
        // A schema that nobody declares stays if there is something in it that is not the project's.
        let shared: FxHashSet<ObjectId> = live
            .iter()
            .filter(|(id, _)| !of_schema(id) && !self.covers(id))
            .filter_map(|(id, _)| id.schema().filter(|schema| !desired.has(schema)).cloned())
            .collect();
        let stays = |id: &ObjectId| of_schema(id) && id.schema().is_some_and(|schema| shared.contains(schema));
        live.objects_mut().retain(|id, _| {
            let own = self.covers(id)
                && !guests.contains(id)
                && (external.is_empty() || !external.contains(id.root()))
                && (shared.is_empty() || !stays(id));
            own || !added.is_empty() && std::iter::once(id).chain(id.ancestors()).any(|id| added.contains(id))
        });
        live
    }

    /// The desired state as it is to be compared with the managed live one: with the roles of the environment, the owners that
    /// files leave out, and the privileges and owners that are left to others.
    pub fn desired(&self, desired: &State, live: &State, server: Version) -> State {
        let mut out = if self.roles.is_empty() { desired.clone() } else { roles::map(desired, &self.roles) };
        let added = added(&out);
        out.objects_mut().retain(|id, _| self.covers(id) || added.contains(id));
        let owner = self.owner.as_ref().map(|role| self.roles.get(role).unwrap_or(role));
        settle(live, &mut out, server, &Managed { owner, owners: self.owners, grants: self.grants });
        out
    }

    /// Takes out of both ends of a plan the owners that no file and no project names, and that the connected role is anyway.
    pub fn leave_to_creator(&self, old: &mut State, new: &mut State, desired: &State, session: &Session) {
        if self.owner.is_none() || !self.owners {
            leave_to_creator(old, new, desired, &Ident::from(session.user.as_str()));
        }
    }

    /// What the files declare although the project leaves it out, or to others: it is ignored, which has to be reported.
    pub fn left_out<'a>(&self, desired: &'a State) -> Vec<&'a ObjectId> {
        let vain = |id: &&ObjectId| {
            self.leaves(id.kind().word) || id.root() == *id && !self.covers(id) && !desired.is_apart(id)
        };
        desired.iter().map(|(id, _)| id).filter(vain).collect()
    }

    /// True if the project leaves objects of that kind to others, whatever they belong to: they change without its doing.
    pub fn leaves(&self, word: &str) -> bool {
        match word {
            "owner" => !self.owners,
            "grant" | "revoke" | "default-privileges" => !self.grants,
            _ => false,
        }
    }

    /// A live state as files say it: with the roles of the files, without the owners that need not be said, and with what was `declared`
    /// so far on objects that are not managed. With `adopt`, whoever owns most of it becomes the owner of the project.
    pub fn written(&self, live: State, declared: &State, session: &Session, adopt: bool) -> Written {
        let mut state = self.apply(live, declared);
        let names = self.names_in_files();
        if !names.is_empty() {
            state = roles::map(&state, &names);
        }
        let connected = Ident::from(session.user.as_str());
        let connected = names.get(&connected).cloned().unwrap_or(connected);
        let found = if adopt && self.owner.is_none() && self.owners {
            usual_owner(&state).filter(|usual| *usual != connected)
        } else {
            None
        };
        if self.owners {
            leave_out_owners(&mut state, session.version, self.owner.as_ref().or(found.as_ref()), &connected);
        } else {
            state.objects_mut().retain(|id, _| !id.is(&owner::KIND));
        }
        if !self.grants {
            state.objects_mut().retain(|id, _| !self.leaves(id.kind().word));
        }
        Written { state, owner: found }
    }

    /// The rights on objects of extensions that are where the project manages everything else.
    pub fn of_extensions(&self, live: &State) -> State {
        let mut out = State::default();
        for (id, object) in live.iter().filter(|(id, _)| live.is_apart(id) && self.covers(id)) {
            out.put(id.clone(), object.clone());
        }
        out
    }

    /// Role names in the database at hand → role names in the files: of several, the first by name.
    pub fn names_in_files(&self) -> FxHashMap<Ident, Ident> {
        let mut back: FxHashMap<Ident, Ident> = FxHashMap::default();
        for (here, there) in &self.roles {
            let name = back.entry(there.clone()).or_insert_with(|| here.clone());
            if here < name {
                *name = here.clone();
            }
        }
        back
    }

    /// A live state without what others decide for all objects to come: the plans of the project do not reckon with it.
    pub fn without_theirs<'a>(&self, live: &'a State) -> Cow<'a, State> {
        let theirs = |id: &ObjectId| id.schema().is_none() && self.leaves(id.root().kind().word);
        if !live.iter().any(|(id, _)| theirs(id)) {
            return Cow::Borrowed(live);
        }
        let mut live = live.clone();
        live.objects_mut().retain(|id, _| !theirs(id));
        Cow::Owned(live)
    }

    /// True if the project manages the object, going by its schema and name.
    pub fn covers(&self, id: &ObjectId) -> bool {
        let schema = id.schema().map(ObjectId::name);
        let listed = |schema: &Ident| self.schemas.as_ref().is_none_or(|list| list.contains(schema));
        if !schema.is_none_or(listed) {
            return false;
        }
        if self.exclude.is_empty() {
            return true;
        }
        let root = id.root();
        // The parts of a schema itself (its comment, its owner) go with the schema.
        let own = (root.kind().within == Within::Schema || schema.is_none()).then(|| root.name().as_str());
        !self.exclude.iter().any(|pattern| pattern.matches(schema.map(Ident::as_str), own))
    }
}

/// What a state declares on objects that it does not declare, by its names and by those of before a rename.
fn added(desired: &State) -> FxHashSet<ObjectId> {
    let apart = desired.iter().filter(|(id, _)| desired.is_apart(id));
    apart
        .flat_map(|(id, object)| std::iter::once(id.clone()).chain(object.was.clone().map(|was| id.renamed(was))))
        .collect()
}

/// True for a schema, and for what is said of it: its comment, its owner, its grants.
fn of_schema(id: &ObjectId) -> bool {
    std::iter::once(id).chain(id.ancestors()).all(|id| id.kind().within != Within::Schema)
}

fn is_partition(object: &crate::model::Object) -> bool {
    object.attrs.iter().any(|(name, _)| name == "partition-of")
}

/// Who owns most of a state.
fn usual_owner(state: &State) -> Option<Ident> {
    let mut counts: FxHashMap<Ident, usize> = FxHashMap::default();
    let owners = state.iter().filter(|(id, _)| id.is(&owner::KIND));
    // Schema public belongs to whom initdb gave it.
    let owners = owners.filter(|(id, _)| {
        id.parent().is_none_or(|parent| parent.kind().address != Address::Schema || parent.name().as_str() != "public")
    });
    for role in owners.filter_map(|(_, object)| owner::role(object)) {
        *counts.entry(role).or_default() += 1;
    }
    // Equal counts are decided by name, so that the same database gives the same files.
    counts.into_iter().max_by(|(a, m), (b, n)| m.cmp(n).then_with(|| b.as_str().cmp(a.as_str()))).map(|(role, _)| role)
}

/// A pattern for names: `name` or `schema.name`, where `*` stands for any letters and `?` for one. A pattern that matches a
/// schema's name takes everything in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    schema: Option<Vec<char>>,
    name: Vec<char>,
}

impl Pattern {
    /// Reads a pattern; the first dot separates schema and name.
    pub fn new(text: &str) -> Self {
        match text.split_once('.') {
            Some((schema, name)) => Self { schema: Some(schema.chars().collect()), name: name.chars().collect() },
            None => Self { schema: None, name: text.chars().collect() },
        }
    }

    /// True if it matches an object `name` in `schema`; `name` is missing for a schema itself.
    pub fn matches(&self, schema: Option<&str>, name: Option<&str>) -> bool {
        match &self.schema {
            Some(pattern) => schema.is_some_and(|s| glob(pattern, s)) && name.is_some_and(|n| glob(&self.name, n)),
            None => [schema, name].into_iter().flatten().any(|text| glob(&self.name, text)),
        }
    }
}

/// Matches without backtracking further than the last star: linear for each star.
fn glob(pattern: &[char], text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(letter) = text.get(t) {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || c == letter => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::find;
    use crate::kinds::scope::schema_id;
    use crate::model::Object;

    fn table(schema: &str, name: &str) -> ObjectId {
        ObjectId::new(find("table").unwrap().kind(), Some(schema_id(schema)), name)
    }

    fn manage(exclude: &[&str]) -> Manage {
        Manage { exclude: exclude.iter().map(|text| Pattern::new(text)).collect(), ..Manage::default() }
    }

    #[test]
    fn patterns() {
        for (pattern, text, expected) in [
            ("tmp_*", "tmp_1", true),
            ("tmp_*", "a_tmp_1", false),
            ("*_y?", "log_y1", true),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b", "xxaxxbxx", false),
            ("", "x", false),
        ] {
            assert_eq!(glob(&pattern.chars().collect::<Vec<_>>(), text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn what_is_left_out_takes_its_parts_along() {
        let orders = table("public", "orders");
        let comment = ObjectId::facet(find("comment").unwrap().kind(), orders.clone());
        let of_schema = ObjectId::facet(find("comment").unwrap().kind(), schema_id("audit"));
        assert!(!manage(&["public.ord*"]).covers(&orders) && !manage(&["orders"]).covers(&comment));
        assert!(manage(&["audit.*"]).covers(&orders) && manage(&["audit.*"]).covers(&of_schema));
        assert!(!manage(&["audit"]).covers(&of_schema) && !manage(&["audit"]).covers(&table("audit", "x")));
    }

    #[test]
    fn a_schema_with_what_is_not_managed_stays_unless_it_is_declared() {
        let mut live = State::default();
        let comment = ObjectId::facet(find("comment").unwrap().kind(), schema_id("auth"));
        for id in
            [schema_id("public"), schema_id("auth"), comment.clone(), table("auth", "users"), table("public", "t")]
        {
            live.put(id, Object::default());
        }
        let left = |desired: &State| -> Vec<String> {
            manage(&["auth.*"]).apply(live.clone(), desired).iter().map(|(id, _)| id.to_string()).collect()
        };
        assert_eq!(left(&State::default()), ["schema public", "table public.t"]);
        let mut desired = State::default();
        desired.put(schema_id("auth"), Object::default());
        assert_eq!(left(&desired), ["schema public", "schema auth", "comment on schema auth", "table public.t"]);
        let all = Manage { exclude: vec![Pattern::new("public.t")], ..Manage::default() };
        assert!(all.apply(live.clone(), &desired).has(&schema_id("auth")));
    }

    #[test]
    fn listed_schemas_alone() {
        let manage = Manage { schemas: Some(vec!["app".into()]), ..Manage::default() };
        assert!(manage.covers(&table("app", "x")) && manage.covers(&schema_id("app")));
        assert!(!manage.covers(&table("public", "x")) && !manage.covers(&schema_id("public")));
    }

    #[test]
    fn the_usual_owner_is_found() {
        let mut state = State::default();
        for (name, role) in [("a", "app"), ("b", "app"), ("c", "other")] {
            let (id, object) = owner::owned(&table("public", name), &role.into());
            state.put(id, object);
        }
        assert_eq!(usual_owner(&state), Some("app".into()));
    }
}
