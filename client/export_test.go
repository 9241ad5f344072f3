package client

// PlainPNG is what files in the usual shape are checked by.
var PlainPNG = plainPNG

// Pixels is the digest of a decoded picture.
var Pixels = pixels
