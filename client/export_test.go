package client

// PlainPNG is what files in the usual shape are checked by.
var PlainPNG = plainPNG
