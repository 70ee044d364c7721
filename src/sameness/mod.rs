//! stub
use crate::catalog::Session;
use crate::diff::Open;
use crate::model::*;
use rustc_hash::FxHashSet;
pub struct Unverified { pub id: ObjectId, pub attr: &'static str, pub reason: String }
pub struct Settled { pub same: FxHashSet<Open>, pub unverified: Vec<Unverified> }
pub async fn settle(_: &Session, _: &State, _: &State, _: &[Open]) -> Result<Settled> { Ok(Settled{same:Default::default(), unverified: vec![]}) }
