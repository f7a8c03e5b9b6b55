//! How messages to people leave the box.
