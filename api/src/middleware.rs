//! What every request passes through, from the outside in: the answer's id, headers and problems;
//! compression; limits; and who calls.

pub mod answer;
pub mod compression;
pub mod limits;
pub mod security_headers;
