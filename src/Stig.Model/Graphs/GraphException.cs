namespace Stig.Model.Graphs;

/// <summary>
/// A graph was built from values that do not fit together: the message names the operation, the values and their types.
/// </summary>
internal sealed class GraphException(string message) : Exception(message);
