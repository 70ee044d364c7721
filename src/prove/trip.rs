//! One trip: runs a plan up, down and up again in one database, and compares and counts after each direction.

use crate::apply::stale;
use crate::catalog::Session;
use crate::model::{ObjectId, Result, State, Text};
use crate::plan::proof::Leg;
use crate::plan::{Action, Hazard, Plan, Step};
use crate::project::Manage;
use crate::scratch::Site;

use super::claims::{Observation, Observer};
use super::compare::{self, Difference, Look};
use super::load::{self, Load};
use super::routines;
use super::runner::{self, Stop, Watch};
use super::values::{self, Ends, Lost, Values};

/// What a trip takes along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cargo {
    /// Tables stay empty.
    Nothing,
    /// Rows.
    Rows {
        from: From,
        /// True if they hold ordinary values instead of those at the edges of their types.
        plain: bool,
        /// Tables that stay empty, by the names that they have before the plan.
        but: Vec<[String; 2]>,
    },
}

/// When rows are put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// Before the plan runs.
    Start,
    /// After it ran on empty tables.
    Top,
}

impl Cargo {
    /// What is tried first.
    pub fn first() -> Self {
        Self::Rows { from: From::Start, plain: false, but: Vec::new() }
    }

    /// True if the rows are those of that moment.
    fn is_from(&self, moment: From) -> bool {
        matches!(self, Self::Rows { from, .. } if *from == moment)
    }
}

/// One of the ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Up,
    Down,
    Again,
}

/// The result of a trip.
pub struct Trip {
    pub up: Leg,
    pub down: Leg,
    pub again: Leg,
    /// What stopped it, and where.
    pub stop: Option<(Way, Stop)>,
    pub load: Load,
    /// What it took along: where there is no table at the start, rows come at the top.
    pub cargo: Cargo,
    /// What the steps that people wrote were seen to do.
    pub observed: Vec<Observation>,
}

/// Where a trip goes, and with what.
pub struct Travel<'a> {
    pub plan: &'a Plan,
    pub site: &'a Site,
    pub session: &'a Session,
    /// True if `pg_dump` should compare too.
    pub witness: bool,
    /// True if a name is known that this database does not have, since only a part was built.
    pub known: &'a dyn Fn(&str) -> bool,
    /// What the plan leads to, where that is known.
    pub end: Option<&'a State>,
}

impl Trip {
    fn new(cargo: &Cargo) -> Self {
        let not_run = || Leg::Unproved("it was not reached".into());
        let cargo = cargo.clone();
        let observed = Vec::new();
        Self { up: not_run(), down: not_run(), again: not_run(), stop: None, load: Load::default(), cargo, observed }
    }

    fn stopped(mut self, way: Way, stop: Stop) -> Self {
        let leg = match &stop {
            Stop::Lacks(what) => Leg::Unproved(what.clone()),
            Stop::Untrusted(_) => Leg::Unproved(stop.lines().join("; ")),
            Stop::Failed(_) => Leg::Failed(stop.lines()),
        };
        match way {
            Way::Up => self.up = leg,
            Way::Down => self.down = leg,
            Way::Again => self.again = leg,
        }
        self.stop = Some((way, stop));
        self
    }
}

/// What was seen on the way so far.
struct Seen {
    start: Look,
    top: Look,
    /// The values at the start, where the plan leads, and back where it started; nothing where no rows were there yet.
    first: Values,
    high: Values,
    low: Values,
    /// What steps by hand changed on the way up: they may put it back as it was.
    in_doubt: Vec<String>,
}

/// Looks at each step, and knows what tables held when columns were there that are filled now.
struct Looking<'a> {
    kept: &'a Values,
    observer: Observer,
}

impl<'a> Looking<'a> {
    fn with(kept: &'a Values) -> Self {
        Self { kept, observer: Observer::default() }
    }
}

impl Watch for Looking<'_> {
    fn kept(&self) -> Option<&Values> {
        Some(self.kept)
    }

    fn begins(&mut self, steps: &[(u32, &Step)]) {
        self.observer.begins(steps);
    }

    async fn before(&mut self, session: &Session, step: &Step) -> Result<()> {
        self.observer.before(session, step).await
    }

    async fn after(&mut self, session: &Session, step: &Step) -> Result<()> {
        self.observer.after(session, step).await
    }

    fn ends(&mut self) {
        self.observer.ends();
    }

    fn passes(&mut self) {
        self.observer.passes();
    }
}

impl Travel<'_> {
    /// Makes the trip.
    ///
    /// # Errors
    /// Failures unrelated to the plan.
    pub async fn go(&self, cargo: &Cargo) -> Result<Trip> {
        let mut trip = Trip::new(cargo);
        let start = self.look().await?;
        if let Cargo::Rows { from, plain, but } = &mut trip.cargo
            && *from == From::Start
        {
            let names: Vec<_> = load::of_plan(self.plan).iter().map(|pair| load::before(self.plan, pair)).collect();
            let tables = load::tables(self.session, self.plan, &names, but).await?;
            if tables.is_empty() {
                *from = From::Top;
            } else {
                trip.load = self.fill(tables, &names, *plain, false).await?;
            }
        }
        let cargo = trip.cargo.clone();
        let first = self.values(&cargo, &[]).await?;
        let mut looking = Looking::with(&first);
        if let Err(stop) = runner::up(self.site, self.session, self.plan, &mut looking).await {
            return Ok(trip.stopped(Way::Up, stop));
        }
        let up = looking.observer.lines();
        trip.observed.extend(looking.observer.of_people());
        let (top, in_doubt) = (self.look().await?, Vec::new());
        let mut seen = Seen { start, top, first, high: Values::default(), low: Values::default(), in_doubt };
        trip.up = self.at_the_top(&cargo, &mut trip.load, &mut seen, up).await?;
        let kept = if cargo.is_from(From::Top) { &seen.high } else { &seen.first };
        let mut looking = Looking::with(kept);
        if let Err(stop) = runner::down(self.site, self.session, self.plan, &mut looking).await {
            return Ok(trip.stopped(Way::Down, stop));
        }
        let lines = looking.observer.lines();
        trip.observed.extend(looking.observer.of_people());
        self.back_again(&cargo, &mut trip, &mut seen, lines).await?;
        let mut looking = Looking::with(&seen.high);
        if let Err(stop) = runner::up(self.site, self.session, self.plan, &mut looking).await {
            return Ok(trip.stopped(Way::Again, stop));
        }
        // There may be rows for the first time on this way.
        let mut lines = looking.observer.lines();
        trip.observed.extend(looking.observer.of_people());
        lines.retain(|line| !trip.up.lines().contains(&line.as_str()));
        trip.again = self.at_the_top_again(&cargo, &seen, lines).await?;
        Ok(trip)
    }

    /// `lines`: what is wrong by now.
    async fn at_the_top(&self, cargo: &Cargo, load: &mut Load, seen: &mut Seen, mut lines: Vec<String>) -> Result<Leg> {
        let plan = self.plan;
        if let Err(error) = stale::reached(plan, &seen.top.state, Some(&seen.start.state), &Manage::default()) {
            lines.extend(error.details);
        }
        if let Some(end) = self.end {
            lines.extend(compare::texts(self.session, plan, &seen.top.state, end).await?);
        }
        if *cargo != Cargo::Nothing {
            lines.extend(routines::problems(self.session, plan, self.known).await?);
        }
        if let Cargo::Rows { from: From::Top, plain, but } = cargo {
            let names = load::of_plan(plan);
            let but: Vec<_> = but.iter().map(|pair| load::after(plan, pair)).collect();
            let tables = load::tables(self.session, plan, &names, &but).await?;
            *load = self.fill(tables, &names, *plain, false).await?;
        }
        seen.high = self.values(cargo, &seen.first.oids()).await?;
        if cargo.is_from(From::Start) {
            let changed = self.changed(&seen.first, &seen.high, &self.lost_upwards()).await?;
            if self.by_hand() {
                seen.in_doubt = changed
            } else {
                lines.extend(changed)
            }
            lines.extend(load::refused(self.session, &load.open, &seen.first, &seen.high).await?);
        }
        if let Cargo::Rows { from: From::Start, plain, but } = cargo {
            self.fill_new(load, seen, but, *plain).await?;
        }
        Ok(failed_or_proved(lines))
    }

    /// Fills the tables that the plan has made, so that the way back runs on filled ones only.
    async fn fill_new(&self, load: &mut Load, seen: &Seen, but: &[[String; 2]], plain: bool) -> Result<()> {
        let names = load::of_plan(self.plan);
        let but: Vec<_> = but.iter().map(|pair| load::after(self.plan, pair)).collect();
        let old = seen.first.oids();
        let known = seen.high.tables.iter().filter(|table| old.contains(&table.oid));
        let known: Vec<ObjectId> = known.map(|table| load::table(&table.schema, &table.name)).collect();
        let mut new = load::tables(self.session, self.plan, &names, &but).await?;
        new.retain(|table| !known.contains(table));
        if !new.is_empty() {
            let Load { count, tables, without, .. } = self.fill(new, &names, plain, true).await?;
            load.count += count;
            load.tables += tables;
            load.without.extend(without);
        }
        Ok(())
    }

    /// `wrong`: what is wrong by now.
    async fn back_again(&self, cargo: &Cargo, trip: &mut Trip, seen: &mut Seen, wrong: Vec<String>) -> Result<()> {
        let bottom = self.look().await?;
        let difference = compare::between(self.session, &seen.start, &bottom).await?;
        let at_top = cargo.is_from(From::Top);
        let from = if at_top { &seen.high } else { &seen.first };
        seen.low = self.values(cargo, &from.oids()).await?;
        let mut changed = Vec::new();
        if *cargo != Cargo::Nothing {
            let lost = self.lost_downwards();
            let ends = Ends {
                from,
                to: &seen.low,
                renames: if at_top { self.renames_back() } else { Vec::new() },
                lost: &lost,
                types_change: at_top,
                reshaped: self.reshaped(),
                by_hand: self.by_hand(),
            };
            changed = values::compare(self.session, &ends).await?;
            changed.extend(load::refused(self.session, &trip.load.open, from, &seen.low).await?);
        }
        if !seen.in_doubt.is_empty() && (!changed.is_empty() || nothing_back(self.plan) > 0) {
            let lines = trip.up.lines().into_iter().map(ToString::to_string);
            trip.up = failed_or_proved(lines.chain(std::mem::take(&mut seen.in_doubt)).collect());
        }
        trip.down = down(self.plan, difference, [wrong, changed].concat());
        Ok(())
    }

    async fn at_the_top_again(&self, cargo: &Cargo, seen: &Seen, mut lines: Vec<String>) -> Result<Leg> {
        let again = self.look().await?;
        let difference = compare::between(self.session, &seen.top, &again).await?;
        lines.extend(difference.lines.into_iter().map(|(_, line)| line));
        if *cargo != Cargo::Nothing {
            let last = self.values(cargo, &seen.low.oids()).await?;
            if !self.by_hand() {
                lines.extend(self.changed(&seen.low, &last, &self.lost_upwards()).await?);
            }
        }
        Ok(leg(lines, difference.unverified))
    }

    /// What changed on the way up.
    async fn changed(&self, from: &Values, to: &Values, lost: &Lost) -> Result<Vec<String>> {
        let renames = values::renames(self.plan.steps.iter());
        let (reshaped, by_hand) = (self.reshaped(), self.by_hand());
        let ends = Ends { from, to, renames, lost, types_change: true, reshaped, by_hand };
        values::compare(self.session, &ends).await
    }

    /// The renames of the way back.
    fn renames_back(&self) -> Vec<(Vec<Text>, Vec<Text>)> {
        values::renames(self.plan.steps.iter()).into_iter().rev().map(|(from, to)| (to, from)).collect()
    }

    fn reshaped(&self) -> Vec<(Text, Text)> {
        values::reshaped(self.plan.steps.iter().chain(self.inverses()))
    }

    fn by_hand(&self) -> bool {
        self.plan.steps.iter().any(|step| step.action == Action::Manual)
    }

    fn inverses(&self) -> impl Iterator<Item = &Step> + Clone {
        self.plan.steps.iter().rev().flat_map(|step| &step.inverse)
    }

    async fn look(&self) -> Result<Look> {
        Look::at(self.session, self.witness.then_some(self.site)).await
    }

    async fn fill(&self, tables: Vec<ObjectId>, about: &[[String; 2]], plain: bool, only: bool) -> Result<Load> {
        // The same plan gets the same rows, wherever it is tried.
        let seed = self.plan.hash().to_string();
        let seed = seed.get(..15).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or_default();
        load::fill(self.session, tables, about, (seed, plain, only)).await
    }

    async fn values(&self, cargo: &Cargo, tables: &[u32]) -> Result<Values> {
        match cargo {
            Cargo::Nothing => Ok(Values::default()),
            _ => Values::read(self.session, tables).await,
        }
    }

    fn lost_upwards(&self) -> Lost {
        Lost::by(self.plan.steps.iter(), &[Hazard::DataLoss])
    }

    /// What does not come back: what is lost on the way up, or on the way back.
    fn lost_downwards(&self) -> Lost {
        let hazards = [Hazard::DataLoss, Hazard::Irreversible];
        Lost::by(self.plan.steps.iter(), &hazards)
            .and(Lost::by(self.inverses(), &hazards))
            // A plan describes a table under its new name, and the way back ends at the old one.
            .renamed(&self.renames_back())
            .everything(nothing_back(self.plan) > 0)
    }
}

/// The number of steps by hand without an inverse.
fn nothing_back(plan: &Plan) -> usize {
    (0..plan.steps.len()).filter(|at| plan.is_one_way(*at)).count()
}

fn failed_or_proved(lines: Vec<String>) -> Leg {
    if lines.is_empty() { Leg::Proved } else { Leg::Failed(Difference::shown(lines.into_iter())) }
}

fn leg(lines: Vec<String>, unverified: Vec<String>) -> Leg {
    match (failed_or_proved(lines), unverified.is_empty()) {
        (Leg::Proved, false) => {
            Leg::Unproved(format!("spelled differently, and could not be compared: {}", unverified.join("; ")))
        }
        (leg, _) => leg,
    }
}

/// The result of the way down. What a plan admits that it cannot restore is not a failure; changed values are.
fn down(plan: &Plan, difference: Difference, changed: Vec<String>) -> Leg {
    let by_hand = nothing_back(plan);
    let mut lost: Vec<String> = Vec::new();
    if by_hand > 0 {
        lost.push(format!("{by_hand} of its steps by hand have no inverse"));
    }
    let irreversible = |step: &&Step| step.hazards.iter().any(|finding| finding.hazard == Hazard::Irreversible);
    let steps: Vec<&Step> = plan.steps.iter().filter(irreversible).collect();
    // The first object of a step represents those that go with it: a table's columns.
    for finding in steps.iter().filter_map(|step| step.hazards.iter().find(|f| f.hazard == Hazard::Irreversible)) {
        if !lost.contains(&finding.reason) {
            lost.push(finding.reason.clone());
        }
    }
    let announced = |id: &ObjectId| {
        let mut own = std::iter::once(id).chain(id.ancestors()).map(ToString::to_string);
        own.any(|text| steps.iter().any(|step| step.object == text || step.with.contains(&text)))
    };
    let (expected, rest): (Vec<_>, Vec<_>) = difference
        .lines
        .into_iter()
        .partition(|(id, _)| by_hand > 0 || id.as_ref().is_some_and(announced) || id.is_none() && !steps.is_empty());
    lost.extend(expected.into_iter().map(|(_, line)| line));
    match leg(rest.into_iter().map(|(_, line)| line).chain(changed).collect(), difference.unverified) {
        Leg::Proved if !lost.is_empty() => Leg::Irreversible(Difference::shown(lost.into_iter())),
        other => other,
    }
}
