//! The composition root: builds each part once, and drains.

pub mod quickstart;
