using Stig.Model.Execution;
using Stig.Model.Graphs;
using Stig.Model.Operations;

namespace Stig.Model.Evaluation;

/// <summary>
/// Log-magnitude spectra of images of one size, M = ln(1 + |F|) with zero frequency at row H/2, column W/2: what every spectral measure
/// starts from. The program is planned once. One caller at a time.
/// </summary>
public sealed class SpectrumAnalyzer : IDisposable
{
    private readonly Executor executor;
    private readonly TensorStore store;
    private readonly Program program;
    private readonly Value image;
    private readonly Value magnitude;

    /// <summary>Plans the transform.</summary>
    /// <param name="extents">Extents of the images.</param>
    /// <param name="device">"auto", "cpu" or "cuda:N".</param>
    /// <exception cref="ArgumentOutOfRangeException">An extent is below 1.</exception>
    /// <exception cref="DeviceException">The device cannot be used.</exception>
    public SpectrumAnalyzer(ImageExtents extents, string device = "cpu")
    {
        extents.Validate(nameof(extents));
        Extents = extents;
        var graph = new Graph();
        image = graph.Input("image", TensorType.Float(1, extents.Channels, extents.Height, extents.Width));
        magnitude = graph.Output("magnitude", graph.LogSpectrum(image).Magnitude);
        executor = Device.Open(device, DevicePurpose.Measurement, winograd: false);
        store = executor.CreateStore();
        program = executor.Compile(graph, store);
    }

    /// <summary>Extents of the images and of the spectra.</summary>
    public ImageExtents Extents { get; }

    /// <summary>Computes the spectrum of an image.</summary>
    /// <param name="planes">The image, [C, H, W], intensities in [0, 1].</param>
    /// <param name="logMagnitude">Receives M, [C, H, W], dimensionless, 0 or more.</param>
    /// <exception cref="ArgumentException">A span does not have the length that the extents ask for.</exception>
    public void Analyze(ReadOnlySpan<float> planes, Span<float> logMagnitude)
    {
        Extents.CheckLength(planes, nameof(planes));
        Extents.CheckLength(logMagnitude, nameof(logMagnitude));
        program.Write(image, planes);
        program.Run();
        program.Read(magnitude, logMagnitude);
    }

    /// <summary>The spectrum of an image, in a new array.</summary>
    /// <param name="planes">The image, [C, H, W], intensities in [0, 1].</param>
    /// <returns>M, [C, H, W].</returns>
    /// <exception cref="ArgumentException">The span does not have the length that the extents ask for.</exception>
    public float[] Analyze(ReadOnlySpan<float> planes)
    {
        float[] logMagnitude = new float[Extents.Count];
        Analyze(planes, logMagnitude);
        return logMagnitude;
    }

    /// <summary>Frees the program.</summary>
    public void Dispose()
    {
        program.Dispose();
        store.Dispose();
        executor.Dispose();
    }
}
