package main

import "minidocker/mydocker/a"

func main() { a.Do() }
