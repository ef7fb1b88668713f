package escape
var networkWays []way
