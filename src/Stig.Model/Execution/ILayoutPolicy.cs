using Stig.Model.Graphs;

namespace Stig.Model.Execution;

/// <summary>What memory planning must know of an executor's layouts.</summary>
internal interface ILayoutPolicy
{
    /// <summary>Bytes that a value occupies when it has storage of its own.</summary>
    long ByteCount(TensorType type);

    /// <summary>
    /// Whether a joined tensor may lie in the storage of a wider one. Its parts may in any case; its readers then see it with gaps.
    /// </summary>
    bool JoinedMayShareStorage { get; }

    /// <summary>Whether a value can be a view into a larger one, from the given image and channel on.</summary>
    bool CanView(TensorType part, TensorType whole, ViewOffset offset);
}
