//! Rule 14 of the law of money: stacking.
