//! Code in the calldata of a transaction: the arguments of `saveCodeInCallData`, in the contract ABI of Solidity.

/// `saveCodeInCallData(string)`.
pub const CODE_SELECTOR: [u8; 4] = [0xff, 0x7c, 0xda, 0xf3];
/// `saveCodeInCallData(string,bytes)`: the second argument describes the code, and is not read.
pub const CODE_WITH_METADATA_SELECTOR: [u8; 4] = [0x1a, 0xe5, 0x3f, 0xea];

/// The size of a number in the ABI.
const WORD: usize = 32;

/// Why calldata holds no code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCalldata {
    #[error("the calldata is {0} bytes, too short for a selector")]
    NoSelector(usize),
    #[error("the calldata calls another function: its selector is {:02x}{:02x}{:02x}{:02x}", .0[0], .0[1], .0[2], .0[3])]
    Selector([u8; 4]),
    /// An offset or a length points behind the end.
    #[error("the calldata is cut short")]
    CutShort,
    #[error("the calldata holds no code")]
    Empty,
}

/// The code in `calldata`, without the zeros behind it.
pub fn code_of_calldata(calldata: &[u8]) -> Result<&[u8], InvalidCalldata> {
    let (selector, arguments) = calldata.split_first_chunk().ok_or(InvalidCalldata::NoSelector(calldata.len()))?;
    let code = match *selector {
        CODE_SELECTOR => dynamic(arguments, 0)?,
        CODE_WITH_METADATA_SELECTOR => {
            dynamic(arguments, 1)?;
            dynamic(arguments, 0)?
        }
        other => return Err(InvalidCalldata::Selector(other)),
    };
    match code.iter().rposition(|byte| *byte != 0) {
        Some(last) => Ok(&code[..=last]),
        None => Err(InvalidCalldata::Empty),
    }
}

/// The bytes of the argument `index`, which is of a type with a length.
fn dynamic(arguments: &[u8], index: usize) -> Result<&[u8], InvalidCalldata> {
    let offset = number(arguments, index * WORD)?;
    let length = number(arguments, offset)?;
    let bytes = arguments.get(offset + WORD..).and_then(|behind| behind.get(..length));
    bytes.ok_or(InvalidCalldata::CutShort)
}

/// The number at `offset`. One that is larger than the arguments points behind their end, whatever it is.
fn number(arguments: &[u8], offset: usize) -> Result<usize, InvalidCalldata> {
    let word = arguments.get(offset..).and_then(|behind| behind.first_chunk::<WORD>());
    let (high, low) = word.ok_or(InvalidCalldata::CutShort)?.split_at(WORD - 8);
    let low = low.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let small = usize::try_from(low).ok().filter(|number| *number <= arguments.len());
    small.filter(|_| high.iter().all(|byte| *byte == 0)).ok_or(InvalidCalldata::CutShort)
}

/// The calldata that stores `code`: a call of `saveCodeInCallData(string)`.
pub fn calldata_of_code(code: &[u8]) -> Vec<u8> {
    let word = |number: usize| {
        let mut word = [0; WORD];
        word[WORD - 8..].copy_from_slice(&(number as u64).to_be_bytes());
        word
    };
    let padding = vec![0; code.len().next_multiple_of(WORD) - code.len()];
    [&CODE_SELECTOR[..], &word(WORD), &word(code.len()), code, &padding].concat()
}
