//! What every kind of destination must do, whatever it is.
