//! Triggers and event triggers, and in which sessions they fire.

// Kinds.
pub mod event_trigger;
pub mod trigger;

// What they share.
pub mod firing;
