using Stig.Model.Execution;
using Stig.Model.Execution.Cpu;
using Stig.Model.Graphs;
using Stig.Model.Imaging;
using Stig.Model.Operations;

namespace Stig.Model.Tests.Translation;

/// <summary>Log magnitudes ln(1 + |F|) of square images of one size.</summary>
internal sealed class LogSpectra : IDisposable
{
    private readonly CpuExecutor executor = new();
    private readonly TensorStore store;
    private readonly Execution.Program program;
    private readonly Value image;
    private readonly Value magnitude;

    public LogSpectra(int size)
    {
        var graph = new Graph();
        image = graph.Input("image", TensorType.Float(1, 3, size, size));
        magnitude = graph.Output("magnitude", graph.LogSpectrum(image).Magnitude);
        store = executor.CreateStore();
        program = executor.Compile(graph, store);
    }

    public float[] Of(RgbImage picture)
    {
        float[] planes = new float[image.Shape.Count];
        picture.ToPlanar(planes);
        program.Write<float>(image, planes);
        program.Run();
        return program.Read(magnitude);
    }

    public void Dispose()
    {
        program.Dispose();
        store.Dispose();
        executor.Dispose();
    }
}
