package checkout

// Unpack is for the fuzzer.
var Unpack = unpack
