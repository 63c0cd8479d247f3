using Stig.Model.Graphs;
using Stig.Model.Operations;

namespace Stig.Model.Tests.Golden;

/// <summary>
/// How often a graph updates running statistics. The reference counts that in a tensor (num_batches_tracked) that nothing
/// uses; here it is the number of nodes.
/// </summary>
internal static class RunningCounts
{
    public static int Of(Graph graph, string parameter) =>
        graph.Nodes.Count(node =>
            node.Operation is RunningStatistics && node.Outputs.Any(output => output.UpdatedParameter?.Name == parameter));
}
