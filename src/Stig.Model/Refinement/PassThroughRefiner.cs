namespace Stig.Model.Refinement;

/// <summary>Gives every image back as it is: the pipeline without a model, to measure what the pipeline itself costs.</summary>
/// <param name="batch">As <see cref="IImageRefiner.Batch"/>.</param>
public sealed class PassThroughRefiner(int batch = 4) : IImageRefiner
{
    /// <inheritdoc/>
    public string Device => "none";

    /// <inheritdoc/>
    public string ModelId => "0000000000000000";

    /// <inheritdoc/>
    public string Options => "model=none";

    /// <inheritdoc/>
    public int Batch => batch;

    /// <inheritdoc/>
    public string? Remark(int width, int height) => null;

    /// <inheritdoc/>
    public void Refine(ReadOnlySpan<byte[]> images, Span<LaneReport> lanes, int height, int width) =>
        lanes.Fill(new LaneReport(LaneFault.None, "pass-through", false));

    /// <summary>Nothing is held.</summary>
    public void Dispose()
    {
    }
}
