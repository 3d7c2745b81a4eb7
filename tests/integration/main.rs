//! What a user of the gateway can see, played over a real socket. One binary, so that the dependencies are linked once.
//!
//! The tests that read from Postgres need `MESHGATE_TEST_POSTGRES`, the address of a server that they may make databases in;
//! `scripts/test` starts one. They fail without it: a test that does not run proves nothing.

#[cfg(test)]
mod answers;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod certificates;
#[cfg(test)]
mod checking;
#[cfg(test)]
mod described;
#[cfg(test)]
mod eventually;
#[cfg(test)]
mod explaining;
#[cfg(test)]
mod fuzzed;
#[cfg(test)]
mod gateway;
#[cfg(test)]
mod hard_statements;
#[cfg(test)]
mod identity;
#[cfg(test)]
mod killed;
#[cfg(test)]
mod leaks;
#[cfg(test)]
mod lent;
#[cfg(test)]
mod lineage_tools;
#[cfg(test)]
mod log;
#[cfg(test)]
mod masks;
#[cfg(test)]
mod mutation;
#[cfg(test)]
mod notices;
#[cfg(test)]
mod outage;
#[cfg(test)]
mod outcomes;
#[cfg(test)]
mod policy_tools;
#[cfg(test)]
mod postgres;
#[cfg(test)]
mod process;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod raw;
#[cfg(test)]
mod records;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod shutdown;
#[cfg(test)]
mod slt;
#[cfg(test)]
mod sources;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod tokens;
#[cfg(test)]
mod tpch;
#[cfg(test)]
mod twins;
#[cfg(test)]
mod under_load;
#[cfg(test)]
mod unfit;
#[cfg(test)]
mod web;
#[cfg(test)]
mod wire;
