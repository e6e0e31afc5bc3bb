//! Reading and writing the memory of a module.

use wasmi::{Caller, Error, Memory};

use super::World;

/// The memory of the module that calls.
pub(super) struct View<'a, 'c> {
    caller: &'a mut Caller<'c, World>,
    memory: Memory,
}

impl<'a, 'c> View<'a, 'c> {
    pub(super) fn of(caller: &'a mut Caller<'c, World>) -> Result<Self, Error> {
        let memory = caller.get_export("memory").and_then(wasmi::Extern::into_memory);
        let memory = memory.ok_or_else(|| Error::new("the module exports no memory".to_owned()))?;
        Ok(Self { caller, memory })
    }

    pub(super) fn world(&self) -> &World {
        self.caller.data()
    }

    /// `length` bytes from `at`.
    pub(super) fn slice(&self, at: u32, length: u32) -> Result<&[u8], Error> {
        let (start, length) = (at as usize, length as usize);
        let end = start.checked_add(length);
        let range = end.and_then(|end| self.memory.data(&self.caller).get(start..end));
        range.ok_or_else(outside)
    }

    /// `length` bytes from `at`, to be written.
    pub(super) fn slice_mut(&mut self, at: u32, length: u32) -> Result<&mut [u8], Error> {
        let (start, length) = (at as usize, length as usize);
        let end = start.checked_add(length);
        let range = end.and_then(|end| self.memory.data_mut(&mut *self.caller).get_mut(start..end));
        range.ok_or_else(outside)
    }

    pub(super) fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), Error> {
        let length = u32::try_from(bytes.len()).map_err(|_| outside())?;
        self.slice_mut(at, length)?.copy_from_slice(bytes);
        Ok(())
    }

    pub(super) fn u32(&self, at: u32) -> Result<u32, Error> {
        let bytes = self.slice(at, 4)?.try_into().map_err(|_| outside())?;
        Ok(u32::from_le_bytes(bytes))
    }

    pub(super) fn u64(&self, at: u32) -> Result<u64, Error> {
        let bytes = self.slice(at, 8)?.try_into().map_err(|_| outside())?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// The `index`th of a list of addresses and lengths.
    pub(super) fn vector(&self, list: u32, index: u32) -> Result<(u32, u32), Error> {
        let at = index.checked_mul(8).and_then(|offset| list.checked_add(offset)).ok_or_else(outside)?;
        let second = at.checked_add(4).ok_or_else(outside)?;
        Ok((self.u32(at)?, self.u32(second)?))
    }
}

fn outside() -> Error {
    Error::new("the module gave an address outside of its memory".to_owned())
}
