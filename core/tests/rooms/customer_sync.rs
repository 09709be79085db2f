//! Bringing customers from a PSA, by a worker over an adapter that follows a script.

mod absence;
mod people;
mod psa;
mod reading;
mod trouble;
mod world;
