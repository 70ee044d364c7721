//! Renamed enum values: `{ value paid was=payed }`. They are not objects: their enum holds them in an attribute.

use crate::kdl::{Node, Problem};
use crate::kinds::meant::nearest;
use crate::kinds::scope::Scope;
use crate::kinds::{Context, Folded, Room, Statement, generic};
use crate::model::{Address, Ident, Key, Kind, KindRef, Namespace, Object, ObjectId, Part, Result, Text, Within};
use crate::sql;

const VALUES: Key<Vec<Text>> = Key::new("values");

pub static KIND: Kind = Kind {
    word: "value",
    sql: "VALUE",
    address: Address::Part,
    within: Within::Of(&["enum"]),
    namespace: Namespace::Own,
    attrs: &[],
    folds: false,
    doc: "A value of an enum that used to have another name, which `was=` gives.",
};

pub struct EnumValue;
pub static ROOM: EnumValue = EnumValue;

impl Room for EnumValue {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn parse(&self, node: &Node, scope: &mut Scope<'_>) {
        let Some(whole) = scope.parent.clone() else { return };
        let Some(name) = generic::take_name(node, scope) else { return };
        let mut was = None;
        generic::record(&[], KIND.word, node, 1, scope, &mut |prop, scope| {
            let said = &*prop.name == "was";
            if said {
                was = Some((generic::name_of(&prop.value, scope), prop.value.span));
            }
            said
        });
        for child in &node.children {
            let message = format!("`{}` is not allowed in a value", child.name);
            scope.problem(Problem::new(child.name_span, message).label("unknown here"));
        }
        let Some((was, said)) = was else {
            let problem =
                Problem::new(node.name_span, "values come after the name of their enum").label("not in its block");
            let name = name.as_str();
            scope.problem(problem.help(format!(
                "write `enum NAME {name} …`; if `{name}` was renamed, `{{ value {name} was=OLD }}` says so"
            )));
            return;
        };
        let Some(object) = scope.load.state.get(&whole) else { return };
        let span = node.args.first().map_or(node.name_span, |arg| arg.span);
        let problem = if !self.is_in(&name, object) {
            let values = object.get(VALUES).unwrap_or_default();
            let near = nearest(name.as_str(), values.iter().map(|value| &***value));
            let help = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("its current name must be among the values: `enum NAME {} …`", name.as_str()),
            };
            let message = format!("{whole} has no value `{}`", name.as_str());
            Some(Problem::new(span, message).label("not one of its values").help(help))
        } else if let Some(first) = object.parts.iter().find(|part| *part.id.name() == name) {
            let mut problem = Problem::new(span, format!("`{}` is given twice", name.as_str())).label("second time");
            problem.related = Some((first.place, "the first time"));
            Some(problem)
        } else if let Some(old) = was.as_ref().filter(|old| **old != name && self.is_in(old, object)) {
            let message = format!("`{}` is still a value of {whole}", old.as_str());
            let problem = Problem::new(said, message).label("cannot be an old name");
            Some(problem.help("remove it from the values, or leave out `was=`"))
        } else {
            None
        };
        match (problem, was) {
            (Some(problem), _) => scope.problem(problem),
            (None, Some(was)) => {
                let part = Part { id: ObjectId::new(&KIND, Some(whole.clone()), name), was, place: node.span };
                scope.load.state.objects_mut().entry(whole).and_modify(|object| object.parts.push(part));
            }
            (None, None) => {}
        }
    }

    /// The enum writes those that were renamed.
    fn write(&self, _: &ObjectId, _: &Object, _: Vec<Node>) -> Option<Node> {
        None
    }

    fn is_in(&self, name: &Ident, whole: &Object) -> bool {
        whole.get(VALUES).is_some_and(|values| values.iter().any(|value| ***value == *name.as_str()))
    }

    fn rename_in(&self, from: &Ident, to: &Ident, whole: &mut Object) {
        let values = whole.get(VALUES).unwrap_or_default().into_iter();
        let renamed = |value: &Text| if **value == *from.as_str() { to.text() } else { value.clone() };
        let values: Vec<Text> = values.map(renamed).collect();
        whole.attrs.set(VALUES, values);
    }

    fn constant(&self, id: &ObjectId) -> Option<String> {
        let whole = id.parent()?;
        Some(format!("{}::{}", sql::literal(id.name().as_str()), sql::schema_path(whole, whole.name())))
    }

    fn rename(&self, from: &ObjectId, to: &ObjectId, _: &Object, _: &Context<'_>) -> Result<Vec<Statement>> {
        let Some(whole) = from.parent() else { return Ok(Vec::new()) };
        let [from, to] = [from, to].map(|id| sql::literal(id.name().as_str()));
        Ok(vec![Statement::new(format!("ALTER TYPE {} RENAME VALUE {from} TO {to}", sql::path(whole)))])
    }

    /// They come with their enum.
    fn create(&self, _: &ObjectId, _: &Object, _: &[Folded], _: &Context<'_>) -> Result<Vec<Statement>> {
        Ok(Vec::new())
    }

    /// There is nothing but the name.
    fn alter(
        &self,
        _: &ObjectId,
        _: &Object,
        _: &Object,
        _: &[&'static str],
        _: &Context<'_>,
    ) -> Result<Vec<Statement>> {
        Ok(Vec::new())
    }
}
