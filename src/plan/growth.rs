//! Counts the objects that are looked at when states of two sizes are created: a plan that is twice as long takes twice the work.

use crate::catalog::Version;
use crate::diff;
use crate::kinds::testing::load;
use crate::model::{Edges, State, work};

use super::Wanted;

/// Partitions of one table that another one refers to, tables with grants and columns with grants, INHERITS, domains and serial columns.
fn text(size: usize) -> String {
    let mut text = "table whole partition-by=\"LIST (a)\" {\n    column a integer\n    primary-key a\n}\n\n\
                    table refers {\n    column a integer { references whole a }\n}\n\n\
                    table parent {\n    column a integer\n}\n\n"
        .to_owned();
    for n in 0..size {
        text += &format!(
            "table part_{n} {{\n    partition-of whole \"FOR VALUES IN ({n})\"\n}}\n\n\
             table child_{n} {{\n    inherits parent\n    column b text {{\n        grant select to=role_{n}\n    }}\n    \
             grant insert to=role_{n}\n}}\n\n\
             table own_{n} {{\n    column a bigint\n    column b integer\n    primary-key a\n    check \"b > {n}\"\n}}\n\n"
        );
    }
    text += "table shared {\n    column a integer\n";
    (0..size).for_each(|n| text += &format!("    grant select to=role_{n}\n"));
    text + "}\n"
}

/// What it takes to plan from one state to another: the work, and the number of steps.
fn work(from: &State, to: &State) -> (u64, usize) {
    let (made, visited) = work::of(|| {
        let comparison = diff::compare(from, to);
        let changes = diff::changes(&comparison, &diff::Answers::default(), from, to);
        let edges = Edges::default();
        super::plan(&Wanted::new(from, to, &edges, changes, Version::major_release(15))).expect("there is a plan")
    });
    (visited, made.steps.len())
}

#[test]
fn twice_as_much_takes_twice_the_work() {
    let [small, large] = [40, 80].map(|size| {
        let (state, problems) = load(&text(size));
        assert_eq!(problems, Vec::<String>::new());
        state
    });
    let nothing = State::default();
    let [(less, few), (more, many)] = [work(&nothing, &small), work(&nothing, &large)];
    let told = format!("{less} objects for {few} steps, {more} for {many}");
    assert!(few > 40 && many > few && more * 10 < less * 23, "{told}");
}

/// What an index finds is what a search would find.
#[test]
fn indexes_know_every_object() {
    let (mut state, _) = load(&text(3));
    let all: Vec<_> = state.iter().map(|(id, _)| id.clone()).collect();
    for id in &all {
        let inside: Vec<_> = all.iter().filter(|child| child.parent() == Some(id)).collect();
        assert_eq!(state.inside(id).map(|(id, _)| id).collect::<Vec<_>>(), inside);
        let columns: Vec<_> = inside.into_iter().filter(|id| id.kind().word == "column").collect();
        assert_eq!(state.parts(id, "column").map(|(id, _)| id).collect::<Vec<_>>(), columns);
    }
    let named = |state: &State, name: &str, attrs: &[&'static str]| -> Vec<String> {
        let target = all.iter().find(|id| id.to_string() == name).expect("it is there");
        state.referring(target, attrs).map(|(id, _)| id.to_string()).collect()
    };
    let parts = ["table public.part_0", "table public.part_1", "table public.part_2"];
    assert_eq!(named(&state, "table public.whole", &["partition-of", "inherits"]), parts);
    assert_eq!(named(&state, "table public.whole", &["references"]).len(), 1);
    assert_eq!(named(&state, "table public.parent", &["inherits"]).len(), 3);
    // What changes is determined again.
    let tables = |state: &State| *state.once(|state| state.of_kind("table").count());
    let before = tables(&state);
    state.objects_mut().retain(|id, _| id.to_string() != parts[1]);
    assert_eq!(tables(&state), before - 1);
    assert_eq!(named(&state, "table public.whole", &["partition-of"]), [parts[0], parts[2]]);
}
