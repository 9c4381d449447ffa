// Package reverse says what becomes of a value on the way back from the upgraded
// structure into the old one: which values a type cannot hold ([Of]), which
// expressions have an exact inverse ([Invert]), and which rows of an upgraded
// table the old one cannot take ([Row.Unfit]).
//
// It is pure text over the names of types and columns, and asks no server. What it
// says of a type is what PostgreSQL's assignment casts do, by which rows go back.
package reverse
