//! Inference, on shapes that are not the flights.
