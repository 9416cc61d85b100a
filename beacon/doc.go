// Package beacon asks consensus nodes, checkpoint providers and execution nodes, and believes nothing they say: each answer is
// bounded in bytes and time, decoded strictly where it matters and leniently where clients differ, and each failure has one of
// a closed set of reasons. Whether an answer is the right one is for others to judge.
//
// Requests are what consensus clients send: GET, one media type in Accept, no compression, HTTP/1.1.
package beacon
