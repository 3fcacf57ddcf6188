//! SQL functions whose results have a bound.
//!
//! The engine's functions make a batch of results at once and outside the memory pool. Some make much of little:
//! `repeat('x', 2000000000)`, `range(0, 1000000000000)`, `replace(s, 'x', s)`, `||` in a query inside a query. An
//! allocation that fails ends the process and not the query. So these functions are replaced, under their own names, by
//! ones that first tell from the arguments how many bytes the results can take at the most, and refuse what is beyond
//! [`guard::RESULT_BYTES_MAX`]. Everything else is the built-in function's: types, names, ordering, results.
//!
//! `table` lists them and how each of them grows, `growth` and `series` bound a result, `size` tells what values take,
//! `guard` is the function in place of a built-in one. Some calls do not come by name: the planner makes functions of
//! `[a, b]` and `OVERLAY`, and `||` is an operator; `rewrite` finds those when a query is analyzed, and the casts and
//! aggregates whose types and arguments alone say that they are too large.
//!
//! The cost is one look at offsets a batch, and a search for the greatest number where a number says how much is made.

mod concatenation;
mod growth;
mod guard;
mod rewrite;
mod series;
mod size;
mod table;

pub(crate) use table::guarded;
