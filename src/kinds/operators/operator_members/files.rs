//! Operators and functions of a family or class in files.

use crate::kdl::{Arg, Node, Problem, Prop, Scalar};
use crate::kinds::scope::{Scope, schema_id, split_signature};
use crate::kinds::{find, generic, routine, support};
use crate::model::{Attrs, Key, KindRef, Object, ObjectId, SqlType, Text};
use crate::sql::{reference, signature, types};

use super::{
    CLASS, FAMILY, FOR_ORDER_BY, FUNCTION, FUNCTIONS, LEFT_ARG, NUMBER, OPERATOR, OPERATORS, RIGHT_ARG, USING, family,
    list, operands, place, takes,
};

/// The address that a node of the kind declares.
pub fn address(kind: KindRef, node: &Node, scope: &mut Scope<'_>) -> Option<ObjectId> {
    let name = generic::take_name(node, scope)?;
    let Some(arg) = node.get_prop(USING.name) else {
        let problem = Problem::new(node.name_span, format!("this {} does not name its access method", node.name));
        scope.problem(problem.help("write `using=btree`, or another access method"));
        return None;
    };
    let method = generic::name_of(arg, scope)?;
    Some(ObjectId::routine(kind, Some(scope.schema.clone()), name, method.text()))
}

/// A node without the properties and child nodes that this module reads.
pub fn rest(node: &Node) -> Node {
    let mut rest = node.clone();
    rest.props.retain(|prop| *prop.name != *USING.name);
    rest.children.retain(|child| !is_member(child));
    rest
}

fn is_member(node: &Node) -> bool {
    [OPERATORS.name, FUNCTIONS.name].contains(&&*node.name)
}

/// Reads the operators and functions in a node; `own` is the type of a class.
pub fn members(id: &ObjectId, node: &Node, own: Option<&SqlType>, scope: &mut Scope<'_>) -> (Vec<Attrs>, Vec<Attrs>) {
    let (mut operators, mut functions) = (Vec::new(), Vec::new());
    for child in node.children.iter().filter(|child| is_member(child)) {
        let (list, member) = match *child.name == *OPERATORS.name {
            true => (&mut operators, operator(child, own, scope)),
            false => (&mut functions, function(id, child, own, scope)),
        };
        let Some(member) = member else { continue };
        if list.iter().any(|other| place(other) == place(&member)) {
            let message =
                format!("`{} {}` is declared twice for these types", child.name, member.get(NUMBER).unwrap_or(0));
            scope.problem(Problem::new(child.span, message).label("second time").help("remove one of the two"));
            continue;
        }
        list.push(member);
    }
    (operators, functions)
}

/// The number and the name of a member.
fn head<'a>(node: &'a Node, name: &str, scope: &mut Scope<'_>) -> Option<(i64, &'a Arg)> {
    match node.args.as_slice() {
        [Arg { value: Scalar::Int(number), .. }, name] => Some((*number, name)),
        _ => {
            let problem = Problem::new(node.name_span, format!("`{}` takes a number and a name", node.name));
            scope.problem(problem.label(format!("write `{} NUMBER {name}`", node.name)));
            None
        }
    }
}

fn only_these(node: &Node, known: &[&str], scope: &mut Scope<'_>) {
    let props =
        node.props.iter().map(|prop| (prop.name_span, &prop.name)).filter(|(_, name)| !known.contains(&&***name));
    for (span, name) in props.chain(node.children.iter().map(|child| (child.name_span, &child.name))) {
        let message = format!("`{name}` is not allowed in `{}`", node.name);
        scope.problem(Problem::new(span, message).label("unknown here"));
    }
}

fn operator(node: &Node, own: Option<&SqlType>, scope: &mut Scope<'_>) -> Option<Attrs> {
    let (number, arg) = head(node, "\"SIGN\"", scope)?;
    only_these(node, &[FOR_ORDER_BY.name], scope);
    let text = arg.as_text().cloned()?;
    let (path, written) = split_signature(&text);
    let types: Vec<Text> = match (written, own) {
        (Some(written), _) => signature::split(written).into_iter().map(|t| bare(t, arg, scope).0).collect(),
        (None, Some(own)) => vec![own.0.clone(), own.0.clone()],
        (None, None) => {
            let problem = Problem::new(arg.span, "this operator does not declare the types of its operands");
            scope.problem(problem.help(format!("write `operator {number} \"{path}(TYPE, TYPE)\"`")));
            return None;
        }
    };
    let operator = find("operator")?.kind();
    let at = |home: ObjectId, name: &Text| ObjectId::routine(operator, Some(home), name.clone(), types.join(", "));
    let id = match reference::split(path).as_deref() {
        Ok([name]) => {
            let here = [scope.schema.clone(), schema_id("public")].map(|home| at(home, name));
            let found = here.iter().find(|id| scope.load.state.has(id)).cloned();
            // PostgreSQL's own operators have operands of its own types.
            let built_in = types.iter().all(|text| types::parse(text).is_ok_and(|parsed| parsed.is_built_in()));
            let [own, _] = here;
            found.unwrap_or_else(|| if built_in { at(schema_id("pg_catalog"), name) } else { own })
        }
        Ok([schema, name]) => at(schema_id(schema.clone()), name),
        _ => {
            scope.problem(Problem::new(arg.span, format!("`{path}` is not an operator")).label("here"));
            return None;
        }
    };
    let sort = node.get_prop(FOR_ORDER_BY.name).and_then(|arg| family_named(arg, "btree", scope));
    Some(Attrs::new().with(NUMBER, number).with(OPERATOR, id).with(FOR_ORDER_BY, sort))
}

fn bare(text: &str, arg: &Arg, scope: &mut Scope<'_>) -> SqlType {
    routine::bare_type(&scope.sql_type(text, arg.span))
}

/// A family by its name.
pub fn family_named(arg: &Arg, method: &str, scope: &mut Scope<'_>) -> Option<ObjectId> {
    let text = arg.as_text()?;
    let declared = |home: &Text, name: &Text| {
        let words = scope.load.declared.get(&(home.clone(), name.clone()));
        words.is_some_and(|words| words.contains(&FAMILY) || words.contains(&CLASS))
    };
    let (home, name) = match reference::split(text).as_deref() {
        Ok([name]) => {
            let near = [scope.schema.name().text(), "public".into()].into_iter().find(|home| declared(home, name));
            (near.unwrap_or_else(|| "pg_catalog".into()), name.clone())
        }
        Ok([home, name]) => (home.clone(), name.clone()),
        _ => {
            scope.problem(Problem::new(arg.span, format!("`{text}` is not a valid reference")).label("here"));
            return None;
        }
    };
    family(schema_id(home), name, method)
}

fn function(id: &ObjectId, node: &Node, own: Option<&SqlType>, scope: &mut Scope<'_>) -> Option<Attrs> {
    let (number, arg) = head(node, "NAME", scope)?;
    only_these(node, &[LEFT_ARG.name, RIGHT_ARG.name], scope);
    let mut said = |key: Key<SqlType>| {
        let arg = node.get_prop(key.name)?;
        Some(bare(arg.as_text()?, arg, scope))
    };
    let (left, right) = (said(LEFT_ARG), said(RIGHT_ARG));
    let Some(left) = left.or_else(|| own.cloned()) else {
        let problem = Problem::new(node.name_span, "this function does not declare which types it serves");
        scope.problem(problem.help("write `left-arg=TYPE`, and `right-arg=TYPE` if it differs"));
        return None;
    };
    let right = right.unwrap_or_else(|| left.clone());
    let takes = takes(id, number, &left, &right).unwrap_or_default();
    let function = support::resolve(arg, &takes, scope)?;
    Some(Attrs::new().with(NUMBER, number).with(FUNCTION, function).with(LEFT_ARG, left).with(RIGHT_ARG, right))
}

/// Adds the access method and the members to a node; `own` is the type of a class.
pub fn write(node: &mut Node, id: &ObjectId, object: &Object, own: Option<&SqlType>) {
    let method = id.signature().cloned().unwrap_or_default();
    node.props.push(Prop::new(USING.name, Arg::text(method)));
    let place = |prop: &Prop| id.kind().attrs.iter().position(|a| a.name == &*prop.name).unwrap_or(usize::MAX);
    node.props.sort_by_key(place);
    let operators = list(object, OPERATORS).into_iter().map(|member| operator_node(member, id, own));
    let functions = list(object, FUNCTIONS).into_iter().map(|member| function_node(member, id, own));
    let mut children: Vec<Node> = operators.chain(functions).collect();
    children.append(&mut node.children);
    node.children = children;
}

fn numbered(word: &str, member: &Attrs) -> Node {
    let mut node = Node::new(word);
    node.args.push(Arg::new(Scalar::Int(member.get(NUMBER).unwrap_or_default())));
    node
}

fn operator_node(member: &Attrs, id: &ObjectId, own: Option<&SqlType>) -> Node {
    let mut node = numbered(OPERATORS.name, member);
    if let Some(operator) = member.get(OPERATOR) {
        let name = operator.name().as_str();
        let mut text = match operator.schema().map(|schema| schema.name().as_str()) {
            Some(home) if home != "pg_catalog" && operator.schema() != id.schema() => {
                format!("{}.{name}", reference::join(&[home]))
            }
            _ => name.to_string(),
        };
        let types = operands(operator);
        if !own.is_some_and(|own| types.iter().all(|t| **t == *own.as_str())) {
            let types = types.iter().map(|t| generic::type_text(&SqlType::new(*t), id.schema()));
            text = format!("{text}({})", types.collect::<Vec<_>>().join(", "));
        }
        node.args.push(Arg::text(text));
    }
    if let Some(family) = member.get(FOR_ORDER_BY) {
        node.props.push(Prop::new(FOR_ORDER_BY.name, Arg::text(family_text(family, id.schema()))));
    }
    node
}

/// A family as files say it in `schema`.
pub fn family_text(family: &ObjectId, schema: Option<&ObjectId>) -> String {
    let name = family.with_signature(None);
    let built_in = name.schema().is_some_and(|home| home.name().as_str() == "pg_catalog");
    if built_in { reference::join(&[name.name().as_str()]) } else { generic::reference_text(&name, schema) }
}

fn function_node(member: &Attrs, id: &ObjectId, own: Option<&SqlType>) -> Node {
    let mut node = numbered(FUNCTIONS.name, member);
    let (Some(function), Some(left), Some(right)) = (member.get(FUNCTION), member.get(LEFT_ARG), member.get(RIGHT_ARG))
    else {
        return node;
    };
    let takes = takes(id, member.get(NUMBER).unwrap_or_default(), left, right).unwrap_or_default();
    node.args.push(Arg::text(support::text(function, &takes, id.schema())));
    let text = |t: &SqlType| Arg::text(generic::type_text(t, id.schema()));
    if own != Some(left) || right != left {
        node.props.push(Prop::new(LEFT_ARG.name, text(left)));
    }
    if right != left {
        node.props.push(Prop::new(RIGHT_ARG.name, text(right)));
    }
    node
}
