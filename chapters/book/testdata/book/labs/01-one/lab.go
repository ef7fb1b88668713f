package one

var name = "own-host-name"
