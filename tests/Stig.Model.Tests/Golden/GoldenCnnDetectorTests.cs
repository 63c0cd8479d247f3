using Stig.Model.Evaluation;
using Stig.Model.Execution;
using Stig.Model.Execution.Cpu;
using Stig.Model.Graphs;
using Stig.Model.Networks;

namespace Stig.Model.Tests.Golden;

/// <summary>Oracle: the reference's CNN detector (file 10). Tolerance: <see cref="Tolerance"/>.</summary>
public sealed class GoldenCnnDetectorTests
{
    [Fact]
    public void Spectra_match()
    {
        using GoldenFile file = GoldenFolder.Open("10_cnn");
        var check = new GoldenCheck(file);
        using Evaluation run = new(file.Floats);
        run.Read(CnnDetector.Spectra(run.Graph, run.Input(file, "image")),
            spectra => check.Tensor("spectrum", spectra, ScaledSpectrum.Tolerance(file.Name, "spectrum")));
        run.Run();
        check.Finish();
    }

    [Fact]
    public void Activations_and_training_steps_match()
    {
        using GoldenFile file = GoldenFolder.Open("10_cnn");
        var check = new GoldenCheck(file);
        Shape spectra = file.ShapeOf("spectrum");
        var detector = new CnnDetector(spectra.H);
        var step = new CnnDetectorGraph(detector, spectra.N);
        foreach (Value value in step.Stages.Concat(step.ParameterGradients.Values))
        {
            step.Graph.Output(value.Name, value);
        }

        using var executor = new CpuExecutor();
        using TensorStore store = executor.CreateStore();
        foreach (ParameterSpec spec in detector.Parameters())
        {
            Assert.Equal(file.ShapeOf($"start.{spec.Name}"), spec.Shape);
            store.Create(spec.Name, spec.Shape, file.Floats($"start.{spec.Name}"));
            store.Create(CnnDetectorGraph.VelocityPrefix + spec.Name, spec.Shape, new float[spec.Shape.Count]);
        }

        using Program program = executor.Compile(step.Graph, store);
        program.Write<float>(step.Spectra, file.Floats("spectrum"));
        program.Write<int>(step.Labels, file.Positions("target"));
        program.Write<float>(step.LearningRate, [(float)file.Number("lr")]);
        IReadOnlyList<string> steps = file.Between("step", ".loss");
        foreach (string number in steps)
        {
            program.Run();
            check.Tensor($"step{number}.logits", program.Read(step.Logits));
            check.Tensor($"step{number}.loss", program.Read(step.Loss));
            foreach (ParameterSpec spec in detector.Parameters())
            {
                check.Tensor($"step{number}.grad.{spec.Name}", program.Read(step.ParameterGradients[spec.Name]));
                check.Tensor($"step{number}.param_after.{spec.Name}", store.Read(spec.Name));
            }

            if (number == steps[0])
            {
                // The weights were the start values.
                check.Tensor("activation4", program.Read(step.Stages[1]));
                check.Tensor("activation7", program.Read(step.Stages[2]));
                check.Tensor("activation9", program.Read(step.Stages[3]));
            }
        }

        foreach (ParameterSpec spec in detector.Parameters())
        {
            check.Tensor($"step{steps[^1]}.momentum_after.{spec.Name}", store.Read(CnnDetectorGraph.VelocityPrefix + spec.Name));
        }

        int epochs = (int)file.ShapeOf("lr_per_epoch").Count;
        check.Tensor("lr_per_epoch", [.. Enumerable.Range(0, epochs).Select(epoch => (float)CnnDetectorGraph.LearningRateOf(epoch))]);
        check.Finish();
    }
}
