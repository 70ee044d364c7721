//! The second reader: before anything is written into a file that people keep, the `kdl` crate reads the old text and the new one, too.
//!
//! An edit replaces ranges of bytes, and our own reader says where these are. Where it were wrong, it would be wrong about the result as
//! well. So nothing is written unless another reader, which shares no code with ours, sees the same nodes in both texts.

use std::collections::BTreeMap;

use kdl::{KdlDocument, KdlNode, KdlValue};

use super::tokens::{Tokens, What};
use super::{Arg, Node, Prop, Scalar, read_large};

/// Larger files are not read a second time: `kdl` 6.7 needs about a second for each megabyte.
const LARGEST: usize = 256 * 1024;

/// Nor are files with more `/-` inside of each other: its time doubles with each.
const MOST_SKIPPED: usize = 4;

/// Whether a second reader looked at an edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Witness {
    /// It sees what our reader sees.
    Agrees,
    /// It cannot say anything about this file, and why.
    Absent(&'static str),
    /// It sees something else in the new text: nothing may be written.
    Differs,
}

/// Holds an edit against what the second reader makes of the old text and of the new one.
pub fn of_edit(before: &str, after: &str) -> Witness {
    look(before, after, |_, _| true)
}

/// The same for a new layout, which may change nothing at all.
pub fn of_layout(before: &str, after: &str) -> Witness {
    look(before, after, |old, new| alike(old.nodes(), new.nodes()))
}

fn look(before: &str, after: &str, also: impl Fn(&KdlDocument, &KdlDocument) -> bool) -> Witness {
    if before.len().max(after.len()) > LARGEST {
        return Witness::Absent("it is larger than 256 KB");
    }
    if skipped(before).max(skipped(after)) > MOST_SKIPPED {
        return Witness::Absent("it nests `/-` more than four deep");
    }
    // Where it does not follow us from the start, its word counts for nothing.
    let Some(old) = document(before).filter(|document| sees(document, before)) else {
        return Witness::Absent("the second KDL parser already reads it differently");
    };
    match document(after).filter(|new| sees(new, after)) {
        Some(new) if also(&old, &new) => Witness::Agrees,
        _ => Witness::Differs,
    }
}

fn document(text: &str) -> Option<KdlDocument> {
    KdlDocument::parse_v2(text).ok()
}

/// The greatest number of `/-` around anything.
fn skipped(text: &str) -> usize {
    let mut tokens = Tokens::new(text);
    // For each open brace, how many of them it adds.
    let (mut open, mut waiting, mut most) = (Vec::new(), 0, 0);
    loop {
        let piece = tokens.next();
        if piece.lines {
            waiting = 0;
        }
        match piece.what {
            What::SlashDash => waiting += 1,
            What::Open => open.push(std::mem::take(&mut waiting)),
            What::Close => _ = open.pop(),
            What::Semicolon => waiting = 0,
            What::End => return most,
            _ => {}
        }
        most = most.max(open.iter().sum::<usize>() + waiting);
    }
}

/// True if it sees the nodes that our reader sees.
fn sees(document: &KdlDocument, text: &str) -> bool {
    read_large(0, text).is_ok_and(|nodes| all_same(document.nodes(), &nodes))
}

fn all_same(theirs: &[KdlNode], ours: &[Node]) -> bool {
    theirs.len() == ours.len() && theirs.iter().zip(ours).all(|(theirs, ours)| same(theirs, ours))
}

fn same(theirs: &KdlNode, ours: &Node) -> bool {
    let (properties, arguments): (Vec<_>, Vec<_>) = theirs.entries().iter().partition(|entry| entry.name().is_some());
    let children = theirs.children().map_or(&[][..], KdlDocument::nodes);
    let value = |entry: &kdl::KdlEntry, arg: &Arg| {
        entry.ty().map(kdl::KdlIdentifier::value) == arg.annotation.as_deref() && same_value(entry.value(), &arg.value)
    };
    let property = |entry: &kdl::KdlEntry, prop: &Prop| {
        entry.name().map(kdl::KdlIdentifier::value) == Some(&*prop.name) && value(entry, &prop.value)
    };
    theirs.name().value() == &*ours.name
        && arguments.len() == ours.args.len()
        && arguments.iter().zip(&ours.args).all(|(entry, arg)| value(entry, arg))
        && properties.len() == ours.props.len()
        && properties.iter().zip(&ours.props).all(|(entry, prop)| property(entry, prop))
        && all_same(children, &ours.children)
}

fn same_value(theirs: &KdlValue, ours: &Scalar) -> bool {
    match (theirs, ours) {
        (KdlValue::String(theirs), Scalar::Text(ours)) => **theirs == **ours,
        (KdlValue::Integer(theirs), Scalar::Int(ours)) => *theirs == i128::from(*ours),
        (KdlValue::Integer(theirs), Scalar::Number(ours)) => ours.parse() == Ok(*theirs),
        // Both are read from the same digits; a text of ours that is not a number in Rust is a number of theirs in another spelling.
        (KdlValue::Float(theirs), Scalar::Number(ours)) => {
            ours.parse().is_ok_and(|ours: f64| ours == *theirs || ours.is_nan())
        }
        (KdlValue::Bool(theirs), Scalar::Bool(ours)) => theirs == ours,
        (KdlValue::Null, Scalar::Null) => true,
        _ => false,
    }
}

/// True if both have the same contents, whatever their layout and the spelling of their values.
fn alike(old: &[KdlNode], new: &[KdlNode]) -> bool {
    let parts = |node: &KdlNode| -> (Vec<_>, BTreeMap<_, _>) {
        let part = |entry: &kdl::KdlEntry| (entry.ty().map(|ty| ty.value().to_owned()), entry.value().clone());
        let (named, plain): (Vec<_>, Vec<_>) = node.entries().iter().partition(|entry| entry.name().is_some());
        let named = named.into_iter().map(|entry| (entry.name().map(|name| name.value().to_owned()), part(entry)));
        (plain.into_iter().map(part).collect(), named.collect())
    };
    let children = |node: &KdlNode| node.children().map_or_else(Vec::new, |children| children.nodes().to_vec());
    let one = |(old, new): (&KdlNode, &KdlNode)| {
        old.name().value() == new.name().value() && parts(old) == parts(new) && alike(&children(old), &children(new))
    };
    old.len() == new.len() && old.iter().zip(new).all(one)
}

#[cfg(test)]
mod tests {
    use super::super::layouts;
    use super::super::write::tests::node;
    use super::super::{format, unix_lines};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_edit_that_changes_more_than_our_reader_sees_is_found() {
        assert_eq!(of_edit("a 1\nb 2\n", "a 1\nb 3\n"), Witness::Agrees);
        assert_eq!(of_layout("a   1;b 2", "a 1\nb 2\n"), Witness::Agrees);
        assert_eq!(of_layout("a 1\nb 2\n", "a 1\nb 3\n"), Witness::Differs);
        assert_eq!(of_layout("a 1 { x; }\n", "a 1 { x; y; }\n"), Witness::Differs);
        assert_eq!(of_edit("a 1\n", "a \"\n"), Witness::Differs);
        assert!(matches!(of_edit(&format!("a \"{}\"", "x".repeat(300_000)), "a"), Witness::Absent(_)));
        assert!(matches!(of_edit("/-a { /-b { /-c { /-d { /-e 1; }; }; }; }\n", "a\n"), Witness::Absent(_)));
        assert_eq!(of_edit("/-a 1\n/-b 1\n/-c 1\n/-d 1\n/-e 1\nf 1\n", "f 1\n"), Witness::Agrees);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn every_layout_has_its_witness(nodes in prop::collection::vec(node(), 0..4), choices in layouts::choices()) {
            let (text, _) = layouts::scattered(&nodes, &choices);
            let text = unix_lines(&text).into_owned();
            let once = format(0, &text).map_err(|p| TestCaseError::fail(format!("{p:?}\n{text}")))?;
            // Of what is left out with `/-`, kdl 6.7 does not always find the end.
            let may_be_absent = |witness: &Witness| text.contains("/-") && matches!(witness, Witness::Absent(_));
            let witness = of_layout(&text, &once);
            prop_assert!(witness == Witness::Agrees || may_be_absent(&witness), "{witness:?}: {text}\n=>\n{once}");
        }
    }
}
