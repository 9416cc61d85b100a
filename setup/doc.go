// Package setup brings checkpoint_exporter onto a machine that runs a node: it finds what runs, works out a configuration, the settings of the
// node's inventory and the permissions, writes them so that everything can be taken back, and starts the services. It asks nobody anything and
// prints nothing: that is the console's part.
package setup
