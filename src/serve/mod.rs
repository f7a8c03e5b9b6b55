//! The doors, one an audience: NAS speak [`radius`], subscribers come to the [`portal`], staff and
//! programs use the [`api`], the command line the [`control`] socket; [`http`] is their plumbing. A
//! handler parses, calls one use case and renders; it decides nothing.

pub mod api;
pub mod control;
pub mod http;
pub mod portal;
pub mod radius;
